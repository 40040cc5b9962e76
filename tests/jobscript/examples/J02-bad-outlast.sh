#!/bin/bash
#SBATCH --job-name=heat
#SBATCH --time=08:00:00
#SBATCH --signal=B:USR1@180  # <- J2

module load python
outlast run --store "$SCRATCH/heat" -- python train.py
