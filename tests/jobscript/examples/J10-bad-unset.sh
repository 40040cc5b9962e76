#!/bin/bash
#SBATCH --time=01:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

if [[ "$SLURM_RESTART_COUNT" == "0" ]]; then  # <- J10
    ./prepare.sh
fi
srun ./model
