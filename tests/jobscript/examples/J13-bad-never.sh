#!/bin/bash
#SBATCH --partition=short,spot
#SBATCH --no-requeue  # <- J13
#SBATCH --time=01:00:00

srun ./model --resume
