#!/bin/bash
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

srun ./simulation --restart-if-possible || scontrol requeue "$SLURM_JOB_ID"  # <- J17
