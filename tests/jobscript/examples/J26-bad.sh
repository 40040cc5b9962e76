#!/bin/bash
#SBATCH --time=02:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

latest=$(ls -Art checkpoint_*.h5 2>/dev/null | head -n1)  # <- J26
if [ -n "$latest" ]; then
    srun ./solve --restart-from "$latest"
else
    srun ./solve
fi
