#!/bin/bash
#SBATCH --time=10:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

if [ -f checkpoint.tar ]; then
    tar xf checkpoint.tar
fi
srun ./fluid --state state/
tar cf checkpoint.new.tar state/
mv checkpoint.new.tar checkpoint.tar
