#!/bin/bash
#SBATCH --job-name=resnet
#SBATCH --time=02:00:00
#SBATCH --mem=32G
##SBATCH --mem=64G
#SBATCH --output=slurm-%j.out

srun python train.py
