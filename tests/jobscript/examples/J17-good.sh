#!/bin/bash
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

max_restarts=20
if srun ./simulation --restart-if-possible; then exit 0; fi
if [ "${SLURM_RESTART_COUNT:-0}" -lt "$max_restarts" ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
