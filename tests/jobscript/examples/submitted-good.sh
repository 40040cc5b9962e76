#!/bin/bash
#SBATCH --job-name=heat
#SBATCH --time=08:00:00
#SBATCH --partition=main_risk
#SBATCH --signal=B:USR1@180
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=/home/u/runs/heat/jobs/%j.out
# The same script starts the first job and every later one.
exec outlast run --store /home/u/runs/heat --max-time 80h -- python train.py
