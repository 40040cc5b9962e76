#!/bin/bash
# submits the steps of one analysis
set -e
first=$(sbatch --parsable --requeue prepare.sh)
second=$(sbatch --parsable --dependency=afterany:$first simulate.sh)
echo "SLURM_JOB_ID of the last: $second"
