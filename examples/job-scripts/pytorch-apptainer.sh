#!/bin/bash
# PyTorch in an Apptainer container. Submit it with: sbatch pytorch-apptainer.sh   (or see `outlast submit --help`, which makes such a script)
#SBATCH --job-name=pytorch
#SBATCH --partition=main_risk
#SBATCH --time=08:00:00
#SBATCH --signal=B:USR1@150
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=pytorch-%j.out
#SBATCH --gres=gpu:1

# outlast stays outside, where Slurm's commands are; the store and the notice reach into the container by themselves.
exec outlast run --store "$HOME/runs/pytorch" --max-time 80h -- apptainer exec --nv "$HOME/images/pytorch.sif" python train.py
