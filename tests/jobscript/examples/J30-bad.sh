#!/bin/bash
#SBATCH --time=05:00:00
#SBATCH --signal=B:TERM@120

trap 'kill -TERM "$pid"' TERM
conda run -n env --no-capture-output python train.py &  # <- J30
pid=$!
while kill -0 "$pid" 2>/dev/null; do wait "$pid"; done
