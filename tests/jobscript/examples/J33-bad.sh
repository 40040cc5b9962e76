#!/bin/bash
#SBATCH --qos=preempt
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

module load python
srun python analyse.py --input big.h5 --checkpoint state.h5  # <- J33
