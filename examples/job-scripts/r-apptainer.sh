#!/bin/bash
# R in an Apptainer container. Submit it with: sbatch r-apptainer.sh   (or see `outlast submit --help`, which makes such a script)
#SBATCH --job-name=r
#SBATCH --partition=main_risk
#SBATCH --time=08:00:00
#SBATCH --signal=B:USR1@150
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=r-%j.out

# outlast stays outside, where Slurm's commands are; the store and the notice reach into the container by themselves.
exec outlast run --store "$HOME/runs/r" --max-time 80h -- apptainer exec "$HOME/images/r-base.sif" Rscript chain.R
