#!/bin/bash
# MATLAB in an Apptainer container. Submit it with: sbatch matlab-apptainer.sh   (or see `outlast submit --help`, which makes such a script)
#SBATCH --job-name=matlab
#SBATCH --partition=main_risk
#SBATCH --time=08:00:00
#SBATCH --signal=B:USR1@150
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=matlab-%j.out

# outlast stays outside, where Slurm's commands are; the store and the notice reach into the container by themselves.
export APPTAINERENV_MATLABPATH="$HOME/outlast/ports/matlab" # docs/how-to/matlab.md
exec outlast run --store "$HOME/runs/matlab" --max-time 80h -- apptainer exec "$HOME/images/matlab.sif" matlab -batch train
