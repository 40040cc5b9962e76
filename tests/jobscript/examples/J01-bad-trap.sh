#!/bin/bash
#SBATCH --time=10:00:00
#SBATCH --signal=SIGUSR1@300  # <- J1
#SBATCH --requeue
#SBATCH --open-mode=append

again() {
    wait "$pid"
    [ "${SLURM_RESTART_COUNT:-0}" -lt 20 ] && scontrol requeue "$SLURM_JOB_ID"
}
trap again SIGUSR1
srun python train.py &
pid=$!
wait "$pid"
wait "$pid"
