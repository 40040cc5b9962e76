#!/bin/bash
# R in a conda environment. Submit it with: sbatch r-conda.sh   (or see `outlast submit --help`, which makes such a script)
#SBATCH --job-name=r
#SBATCH --partition=main_risk
#SBATCH --time=08:00:00
#SBATCH --signal=B:USR1@150
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=r-%j.out

source "$HOME/miniconda3/etc/profile.d/conda.sh"
conda activate r
exec outlast run --store "$HOME/runs/r" --max-time 80h -- Rscript chain.R
