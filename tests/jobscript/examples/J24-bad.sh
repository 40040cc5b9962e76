#!/bin/bash
#SBATCH --job-name=cine
#SBATCH --time=04:00:00

count=${COUNT:-0}
RUN_DIR=$SCRATCH/runs/$SLURM_JOB_ID  # <- J24
mkdir -p "$RUN_DIR"
srun python main.py --out "$RUN_DIR" --resume auto
if [ ! -f "$RUN_DIR/finished" ] && [ "$count" -lt 20 ]; then
    sbatch "$0"
fi
