#!/bin/bash
#SBATCH --container-image=nvcr.io/nvidia/pytorch:24.05-py3
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

max_restarts=10
python train.py
if [ $? -eq 85 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt $max_restarts ]; then
    scontrol requeue "$SLURM_JOB_ID"  # <- J16
fi
