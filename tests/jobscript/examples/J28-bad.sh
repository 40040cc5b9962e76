#!/bin/bash
#SBATCH --time=10:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

if [ -f checkpoint.tar ]; then
    tar xf checkpoint.tar
    rm checkpoint.tar  # <- J28
fi
srun ./fluid --state state/
tar cf checkpoint.tar state/
