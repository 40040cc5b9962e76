#!/bin/bash
#SBATCH --job-name=accelerate
#SBATCH --partition=main_risk
#SBATCH --time=08:00:00
#SBATCH --cpus-per-task=4
#SBATCH --signal=B:USR1@150
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=accelerate.%j.out

exec outlast run --store "$HOME/runs/accelerate" --max-time 40h -- python train.py
