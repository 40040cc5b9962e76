#!/bin/bash
#SBATCH --time=06:00:00
#SBATCH --signal=B:USR2@240
#SBATCH --requeue
#SBATCH --open-mode=append

handler() {
    echo "notice at $(date)"
    kill -USR2 "${pid}"
    while kill -0 "${pid}" 2>/dev/null; do sleep 1; done
    [ "${SLURM_RESTART_COUNT:-0}" -lt 30 ] && scontrol requeue "${SLURM_JOB_ID}"
}
trap handler USR2
srun python train.py &
pid=$!
wait "${pid}"
wait "${pid}"
