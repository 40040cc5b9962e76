#!/bin/bash
#SBATCH --time=48:00:00
#SBATCH --time-min=04:00:00

timeout 47h srun ./simulate  # <- J39
