#!/bin/bash
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

IMAGE=$PROJECT/images/torch.sif
MAX_RESTARTS=20
if [ "${SLURM_RESTART_COUNT:-0}" -ge $MAX_RESTARTS ]; then exit 1; fi
apptainer exec --nv "$IMAGE" bash -c 'exec ./train.sh'
test -f unfinished && scontrol requeue "$SLURM_JOB_ID"
