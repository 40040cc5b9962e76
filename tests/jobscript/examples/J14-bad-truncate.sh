#!/bin/bash
#SBATCH --requeue
#SBATCH --open-mode=truncate  # <- J14
#SBATCH --time=01:00:00

srun ./model --resume
