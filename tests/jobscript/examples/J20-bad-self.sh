#!/bin/bash
#SBATCH --time=06:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

sbatch -d afterok:$SLURM_JOB_ID analyse.sh  # <- J20
srun ./model --resume
