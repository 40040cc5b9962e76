#!/bin/bash
#SBATCH --job-name=sweep
#SBATCH --gres=gpu:1
#SBATCH --time=06:00:00

source ~/miniconda3/etc/profile.d/conda.sh
conda activate med
srun -p gpu python main.py --fold 0
sbatch evaluate.sh
