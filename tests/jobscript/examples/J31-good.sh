#!/bin/bash
#SBATCH --time=05:00:00
#SBATCH --signal=B:USR1@180

rm -f save_and_stop
trap 'touch save_and_stop' USR1
Rscript --vanilla bootstrap.R &
pid=$!
while kill -0 "$pid" 2>/dev/null; do wait "$pid"; done
