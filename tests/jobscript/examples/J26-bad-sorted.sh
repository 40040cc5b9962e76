#!/bin/bash
#SBATCH --time=02:00:00

resume=$(find out -name 'step*.h5' | sort | tail -1)  # <- J26
newest=$(ls -t out/step*.h5 | tail -1)  # <- J26
srun python train.py --resume "$resume" --beside "$newest"
