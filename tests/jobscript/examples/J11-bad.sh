#!/bin/bash
#SBATCH --signal=INT@120
#SBATCH --requeue
#SBATCH --open-mode=append

cont=""
if [ -n "$SLURM_RESTART_COUNT" ]; then  # <- J11
    echo "Restart"
    cont="continue"
fi
srun python -m runner config.yaml $cont
