#!/bin/bash
#SBATCH --job-name=translate
#SBATCH --array=1-10%1  # <- J21
#SBATCH --time=12:00:00

srun marian --config train.yml --overwrite false
