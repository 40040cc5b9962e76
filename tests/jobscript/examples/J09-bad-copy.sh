#!/bin/bash
#SBATCH --time=01:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

restarts=$SLURM_RESTART_COUNT
if test $restarts -eq 0; then  # <- J9
    rm -rf work
fi
srun ./model --directory work
