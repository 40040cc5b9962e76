#!/bin/bash
#SBATCH --time=48:00:00
#SBATCH --time-min=02:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

restart_count() { echo "${SLURM_RESTART_COUNT:-0}"; }

if [[ $(restart_count) > 0 ]]; then  # <- J10
    srun ./cfd --from-last
else
    srun ./cfd --fresh
fi
