#!/bin/bash
#SBATCH --job-name=train
#SBATCH --partition=gpu_risk
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --time=1-00:00:00

[ -f result.json ] && exit 0
srun python train.py --checkpoint-dir "$SCRATCH/ckpt"
