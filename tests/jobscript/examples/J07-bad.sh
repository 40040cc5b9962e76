#!/bin/bash
#SBATCH --job-name=resnet
#SBATCH --time=02:00:00
#SBSTCH --mem=32G  # <- J7
#SBATCH --output=slurm-%j.out

srun python train.py
