#!/bin/bash
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

module load matlab
CKPT_DIR=$SCRATCH/run7/checkpoints
mkdir -p "$CKPT_DIR"
cp -r "$SCRATCH/imagenet" "$TMPDIR/data"
srun python train.py --checkpoint-dir "$CKPT_DIR" --data "$TMPDIR/data"
