#!/bin/bash
#SBATCH --time=03:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

srun ./step --input state.h5
status=$?
if [ $status -eq 85 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt 50 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit $status
