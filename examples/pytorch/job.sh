#!/bin/bash
# Submit it with: sbatch job.sh
#SBATCH --job-name=digits
#SBATCH --partition=main_risk
#SBATCH --time=08:00:00
#SBATCH --signal=B:USR1@150
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=digits-%j.out
#SBATCH --gres=gpu:1

source "$HOME/miniconda3/etc/profile.d/conda.sh"
conda activate torch # PyTorch, scikit-learn and outlast
exec outlast run --store ckpts/digits --max-time 80h -- python train.py
