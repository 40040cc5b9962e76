#!/bin/bash
#SBATCH --array=1-100
#SBATCH --time=01:00:00

module load r
python estimate.py --seed "$SLURM_ARRAY_TASK_ID" --checkpoint-dir "$SCRATCH/pesto/ckpt/$SLURM_ARRAY_TASK_ID"
