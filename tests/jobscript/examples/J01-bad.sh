#!/bin/bash
#SBATCH --job-name=sig_interrupt
#SBATCH --time=10:00:00
#SBATCH --gpus-per-node=4
#SBATCH --output=%j.out
#SBATCH --signal=USR1@90  # <- J1

module load cuda
trap 'echo "near the limit"; kill -USR1 "$pid"' USR1
echo "jobstart $(date)"
python experimental/train.py --epochs 90 &
pid=$!
while kill -0 "$pid" 2>/dev/null; do wait "$pid"; done
