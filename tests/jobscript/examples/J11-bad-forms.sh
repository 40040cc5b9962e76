#!/bin/bash
#SBATCH --time=01:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

if [ -z "${SLURM_RESTART_COUNT:-}" ]; then ./prepare.sh; fi  # <- J11
if [[ -v SLURM_RESTART_COUNT ]]; then echo "again"; fi  # <- J11
if [[ $SLURM_RESTART_COUNT ]]; then echo "again"; fi  # <- J11
test "$SLURM_RESTART_COUNT" != "" && echo "again"  # <- J11
srun ./model
