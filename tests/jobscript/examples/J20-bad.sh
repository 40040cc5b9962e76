#!/bin/bash
# submits the steps of one analysis
set -e
first=$(sbatch --parsable --requeue prepare.sh)
second=$(sbatch --parsable --dependency=afterok:$first simulate.sh)  # <- J20
echo "SLURM_JOB_ID of the last: $second"
