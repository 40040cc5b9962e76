#!/bin/bash
#SBATCH --job-name=sig_interrupt
#SBATCH --time=10:00:00
#SBATCH --gpus-per-node=4
#SBATCH --output=%j.out
#SBATCH --signal=USR1@90

module load cuda
echo "jobstart $(date)"
srun python experimental/train.py --epochs 90
echo "jobend $(date)"
