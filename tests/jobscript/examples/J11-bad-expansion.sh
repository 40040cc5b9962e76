#!/bin/bash
#SBATCH --time=01:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

srun ./model ${SLURM_RESTART_COUNT:+--restart}  # <- J11
