#!/bin/bash
#SBATCH --job-name='a sweep'
#SBATCH --array=1-20
#SBATCH --time=08:00:00
#SBATCH --partition=main_risk
#SBATCH --signal=B:USR1@180
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=/home/u/runs/sweep/jobs/%A_%a.out
exec outlast run --store "/home/u/runs/sweep/$SLURM_ARRAY_TASK_ID" --max-time 80h -- \
    python train.py --name 'it'"'"'s $(one) "word"' --checkpoint-dir ckpt
