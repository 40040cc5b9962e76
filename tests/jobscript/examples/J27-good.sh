#!/bin/bash
#SBATCH --time=72:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

OUT=$SCRATCH/roadies/output
rm -rf "$OUT/tmp"
if [ "${SLURM_RESTART_COUNT:-0}" -eq 0 ]; then
    rm -rf "$OUT"
fi
mkdir -p "$OUT"
srun snakemake --cores 16 --directory "$OUT"
