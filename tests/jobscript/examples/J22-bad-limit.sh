#!/bin/bash
#SBATCH --time=00:05:00
#SBATCH --signal=USR1@600  # <- J22

srun python train.py
