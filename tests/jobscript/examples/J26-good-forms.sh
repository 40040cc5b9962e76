#!/bin/bash
#SBATCH --time=02:00:00

resume=$(ls -v ckpt_*.pt | tail -n 1)
padded=$(ls ckpt_[0-9][0-9][0-9].pt | tail -n 1)
sorted=$(find . -name 'step*.h5' | sort -V | tail -1)
rm -f "$(ls -tr ckpt_*.pt | head -n 1)"
node=$(scontrol show hostnames "$SLURM_NODELIST" | head -n 1)
srun python train.py --resume "$resume" --beside "$padded" "$sorted" --host "$node"
