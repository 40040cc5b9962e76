#!/bin/bash
#SBATCH --time=05:00:00
#SBATCH --signal=B:USR1@180

trap 'kill -USR1 "$pid"' USR1  # <- J31
Rscript --vanilla bootstrap.R &
pid=$!
while kill -0 "$pid" 2>/dev/null; do wait "$pid"; done
