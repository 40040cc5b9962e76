#!/bin/bash
# PyTorch in a conda environment. Submit it with: sbatch pytorch-conda.sh   (or see `outlast submit --help`, which makes such a script)
#SBATCH --job-name=pytorch
#SBATCH --partition=main_risk
#SBATCH --time=08:00:00
#SBATCH --signal=B:USR1@150
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=pytorch-%j.out
#SBATCH --gres=gpu:1

source "$HOME/miniconda3/etc/profile.d/conda.sh"
conda activate torch
exec outlast run --store "$HOME/runs/pytorch" --max-time 80h -- python train.py
