#!/bin/bash
#SBATCH --time=02:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

latest=$(ls -At checkpoint_*.h5 2>/dev/null | head -n1)
# keep the last three
ls -t checkpoint_*.h5 2>/dev/null | tail -n +4 | xargs -r rm
if [ -n "$latest" ]; then
    srun ./solve --restart-from "$latest"
else
    srun ./solve
fi
