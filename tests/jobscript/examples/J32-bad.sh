#!/bin/bash
#SBATCH --time=02:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append

again() {
    kill -USR1 "$pid"
    wait "$pid"
    scontrol requeue "$SLURM_JOB_ID"
}
trap again USR1
srun ./work &
pid=$!
until wait "$pid"; do kill -0 "$pid" 2>/dev/null || break; done
if [ ! -f done ] && [ "${SLURM_RESTART_COUNT:-0}" -lt 9 ]; then
    sbatch "$0"  # <- J32
fi
