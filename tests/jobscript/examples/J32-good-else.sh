#!/bin/bash
#SBATCH --time=02:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

max_restarts=9
if [ "${SLURM_RESTART_COUNT:-0}" -ge "$max_restarts" ]; then exit 1; fi
srun ./work
if [ ! -f done ]; then
    if scontrol requeue "$SLURM_JOB_ID"; then
        exit 0
    fi
    sbatch "$0"
fi
