#!/bin/bash
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

module load matlab
CKPT_DIR=$TMPDIR/checkpoints  # <- J23
mkdir -p "$CKPT_DIR"
srun python train.py --checkpoint-dir "$CKPT_DIR" --data "$SCRATCH/imagenet"
