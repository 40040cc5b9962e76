#!/bin/bash
#SBATCH --time=01:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

if [ $SLURM_RESTART_COUNT -gt 0 ]; then  # <- J9
    ARGS="--restart"
fi
srun ./model $ARGS
