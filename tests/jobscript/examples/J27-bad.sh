#!/bin/bash
#SBATCH --time=72:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

OUT=$SCRATCH/roadies/output
rm -rf "$OUT"  # <- J27
mkdir -p "$OUT"
srun snakemake --cores 16 --directory "$OUT"
