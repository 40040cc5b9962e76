#!/bin/bash
#SBATCH --time=02:00:00
#SBATCH --signal=USR1@30  # <- J22
#SBATCH --nodes=2

srun python train_distributed.py
