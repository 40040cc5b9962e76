#!/bin/bash
#SBATCH --qos=preempt
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

module load python
if [ -e analysis.done ]; then
    echo "nothing left to do"
    exit 0
fi
srun python analyse.py --input big.h5 --checkpoint state.h5 && touch analysis.done
