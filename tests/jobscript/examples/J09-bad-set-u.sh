#!/bin/bash
#SBATCH --time=01:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

set -euo pipefail
echo "start number $SLURM_RESTART_COUNT"  # <- J9
srun ./model
