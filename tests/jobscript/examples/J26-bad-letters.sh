#!/bin/bash
#SBATCH --time=02:00:00

resume=$(ls ckpt_*.pt | tail -n 1)  # <- J26
srun python train.py --resume "$resume"
