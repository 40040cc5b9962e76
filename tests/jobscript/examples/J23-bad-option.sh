#!/bin/bash
#SBATCH --time=06:00:00

work=/dev/shm/$USER/run
mkdir -p "$work"
srun python train.py --ckpt-path="$work/last.ckpt"  # <- J23
