#!/bin/bash
#SBATCH --time=02:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append

again() {
    kill -USR1 "$pid"
    wait "$pid"
    if [ "${SLURM_RESTART_COUNT:-0}" -lt 9 ]; then
        scontrol requeue "$SLURM_JOB_ID" || sbatch "$0"
    fi
}
trap again USR1
srun ./work &
pid=$!
until wait "$pid"; do kill -0 "$pid" 2>/dev/null || break; done
