#!/bin/bash
#SBATCH --job-name=matlab-cnn
#SBATCH --time=08:00:00
#SBATCH --gres=gpu:1
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.out

module load matlab
# MATLAB cannot catch signals: outlast does, and asks it by files.
exec outlast run --store runs/matlab-cnn --max-time 48h -- matlab -batch train
