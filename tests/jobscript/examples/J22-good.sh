#!/bin/bash
#SBATCH --time=02:00:00
#SBATCH --signal=USR1@300
#SBATCH --nodes=2

srun python train_distributed.py
