#!/bin/bash
#SBATCH --job-name=translate
#SBATCH --array=1-10%1
#SBATCH --time=12:00:00

srun marian --config "train.$SLURM_ARRAY_TASK_ID.yml" --overwrite false
