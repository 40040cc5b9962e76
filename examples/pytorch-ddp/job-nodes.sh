#!/bin/bash
# Two nodes with four GPUs each, a rank a GPU. Submit it with: sbatch job-nodes.sh
#SBATCH --job-name=digits
#SBATCH --partition=main_risk
#SBATCH --time=08:00:00
#SBATCH --signal=B:USR1@150
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=digits-%j.out
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gres=gpu:4

source "$HOME/miniconda3/etc/profile.d/conda.sh"
conda activate torch # PyTorch, scikit-learn and outlast
MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export MASTER_ADDR MASTER_PORT=29500
# shellcheck disable=SC2016 # each task has its own number
exec outlast run --store ckpts/digits --max-time 80h -- \
    srun --kill-on-bad-exit=0 bash -c 'RANK=$SLURM_PROCID WORLD_SIZE=$SLURM_NTASKS exec python train.py'
