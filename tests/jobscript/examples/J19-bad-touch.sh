#!/bin/bash
#SBATCH --time=06:00:00
#SBATCH --signal=B:USR1@240
#SBATCH --requeue
#SBATCH --open-mode=append

requeue_job() {
    if [ "${SLURM_RESTART_COUNT:-0}" -lt 30 ]; then
        scontrol requeue "$SLURM_JOB_ID"  # <- J19
    fi
}
trap 'touch save_and_stop; requeue_job' USR1
rm -f save_and_stop
srun python train.py &
wait
wait
