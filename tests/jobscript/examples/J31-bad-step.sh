#!/bin/bash
#SBATCH --time=05:00:00
#SBATCH --signal=USR2@180

module load r/4.3
srun Rscript --vanilla bootstrap.R  # <- J31
