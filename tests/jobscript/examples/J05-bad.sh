#!/bin/bash
#SBATCH --time=08:00:00
#SBATCH --signal=B:USR1@180

source "$HOME/venv/bin/activate"
trap 'touch save_now' SIGUSR1

exec python train.py --config big.yaml  # <- J5
