#!/bin/bash
#SBATCH --time=05:00:00
#SBATCH --signal=TERM@120

srun bash -c 'source env.sh; python train.py'  # <- J30
