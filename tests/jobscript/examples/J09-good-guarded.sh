#!/bin/bash
#SBATCH --time=01:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

if [[ -n "$SLURM_RESTART_COUNT" && "$SLURM_RESTART_COUNT" -gt 0 ]]; then
    echo "restart number $SLURM_RESTART_COUNT"
fi
if (( SLURM_RESTART_COUNT > 0 )); then
    ARGS=--restart
fi
srun ./model $ARGS
