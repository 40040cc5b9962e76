#!/bin/bash
# TensorFlow in an Apptainer container. Submit it with: sbatch tensorflow-apptainer.sh   (or see `outlast submit --help`, which makes such a script)
#SBATCH --job-name=tensorflow
#SBATCH --partition=main_risk
#SBATCH --time=08:00:00
#SBATCH --signal=B:USR1@150
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=tensorflow-%j.out
#SBATCH --gres=gpu:1

# outlast stays outside, where Slurm's commands are; the store and the notice reach into the container by themselves.
exec outlast run --store "$HOME/runs/tensorflow" --max-time 80h -- apptainer exec --nv "$HOME/images/tensorflow.sif" python train.py
