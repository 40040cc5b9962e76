#!/bin/bash
# MATLAB from a module, with outlast in a conda environment. Submit it with: sbatch matlab-conda.sh   (or see `outlast submit --help`, which makes such a script)
#SBATCH --job-name=matlab
#SBATCH --partition=main_risk
#SBATCH --time=08:00:00
#SBATCH --signal=B:USR1@150
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=matlab-%j.out

source "$HOME/miniconda3/etc/profile.d/conda.sh"
conda activate matlab
module load matlab
export MATLABPATH="$HOME/outlast/ports/matlab" # open, load, tick, done: docs/how-to/matlab.md
exec outlast run --store "$HOME/runs/matlab" --max-time 80h -- matlab -batch train
