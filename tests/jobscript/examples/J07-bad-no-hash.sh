#!/bin/bash
#SBATCH --nodes=1
SBATCH --signal=SIGUSR1@90  # <- J7
 #SBATCH --mem=4G  # <- J7
#sbatch --gres=gpu:1  # <- J7

srun python train.py
