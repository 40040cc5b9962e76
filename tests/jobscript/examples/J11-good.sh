#!/bin/bash
#SBATCH --signal=INT@120
#SBATCH --requeue
#SBATCH --open-mode=append

cont=""
if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]; then
    echo "Restart"
    cont="continue"
fi
srun python -m runner config.yaml $cont
