#!/bin/bash
# TensorFlow in a conda environment. Submit it with: sbatch tensorflow-conda.sh   (or see `outlast submit --help`, which makes such a script)
#SBATCH --job-name=tensorflow
#SBATCH --partition=main_risk
#SBATCH --time=08:00:00
#SBATCH --signal=B:USR1@150
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=tensorflow-%j.out
#SBATCH --gres=gpu:1

source "$HOME/miniconda3/etc/profile.d/conda.sh"
conda activate tf
exec outlast run --store "$HOME/runs/tensorflow" --max-time 80h -- python train.py
