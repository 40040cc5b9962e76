#!/bin/bash
#SBATCH --time=01:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

restarts=${SLURM_RESTART_COUNT:-0}
if [ "$restarts" > 0 ]; then  # <- J10
    ARGS="--restart"
fi
srun ./model $ARGS
