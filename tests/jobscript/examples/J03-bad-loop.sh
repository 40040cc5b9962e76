#!/bin/bash
#SBATCH --time=08:00:00
#SBATCH --signal=B:SIGUSR2@180

trap "touch stop_now; echo 'notice'" SIGUSR2

for fold in 0 1 2 3; do
    srun python train.py --fold $fold  # <- J3
done
