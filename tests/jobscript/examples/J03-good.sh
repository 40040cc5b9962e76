#!/bin/bash
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append

requeue() {
    kill -USR1 "$pid"
    while kill -0 "$pid" 2>/dev/null; do wait "$pid"; done
    if [ "${SLURM_RESTART_COUNT:-0}" -lt 10 ]; then
        scontrol requeue "$SLURM_JOB_ID"
    fi
}
trap requeue USR1

cd "$SLURM_SUBMIT_DIR" || exit 1
python solver.py --resume &
pid=$!
while kill -0 "$pid" 2>/dev/null; do wait "$pid"; done
