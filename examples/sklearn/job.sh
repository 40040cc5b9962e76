#!/bin/sh
#SBATCH --job-name=sklearn
#SBATCH --time=04:00:00
#SBATCH --cpus-per-task=4
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
export OUTLAST_STORE=${OUTLAST_STORE:-$PWD/ckpts/sklearn}
exec outlast run -- python train.py
