#!/bin/bash
#SBATCH --job-name=cine
#SBATCH --time=04:00:00

count=${COUNT:-0}
RUN_DIR=$SCRATCH/runs/$SLURM_JOB_NAME
LOG_FILE=$SCRATCH/logs/$SLURM_JOB_ID.log
mkdir -p "$RUN_DIR"
srun python main.py --out "$RUN_DIR" --resume auto > "$LOG_FILE"
if [ ! -f "$RUN_DIR/finished" ] && [ "$count" -lt 20 ]; then
    sbatch --export=ALL,COUNT=$((count + 1)) "$0"
fi
