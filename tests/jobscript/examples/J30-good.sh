#!/bin/bash
#SBATCH --time=05:00:00
#SBATCH --signal=B:TERM@120

source "$HOME/miniconda3/etc/profile.d/conda.sh"
conda activate env
trap 'kill -TERM "$pid"' TERM
bash -c 'ulimit -s unlimited; exec python train.py' &
pid=$!
while kill -0 "$pid" 2>/dev/null; do wait "$pid"; done
