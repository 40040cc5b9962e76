#!/bin/bash
#SBATCH --time=08:00:00
#SBATCH --signal=B:USR1@180

source "$HOME/venv/bin/activate"

# train.py handles SIGUSR1 itself
exec python train.py --config big.yaml
