#!/bin/bash
#SBATCH --time=03:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

srun ./step --input state.h5
status=$?
if [ $status -eq 85 ]; then
    exit 99  # <- J12
fi
exit $status
