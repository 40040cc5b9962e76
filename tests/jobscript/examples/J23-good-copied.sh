#!/bin/bash
#SBATCH --time=06:00:00

CKPT_DIR=$TMPDIR/ckpt
mkdir -p "$CKPT_DIR"
cp -r "$SCRATCH/run7/ckpt/." "$CKPT_DIR"
(while sleep 600; do rsync -a "$CKPT_DIR/" "$SCRATCH/run7/ckpt/"; done) &
srun python train.py --checkpoint-dir "$CKPT_DIR"
rsync -a "$CKPT_DIR/" "$SCRATCH/run7/ckpt/"
