#!/bin/bash
#SBATCH --array=0-19
#SBATCH --time=02:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append

on_notice() {
    kill -USR1 "$pid"
    wait "$pid"
    if (( ${SLURM_RESTART_COUNT:-0} < 20 )); then
        scontrol requeue $SLURM_JOB_ID  # <- J15
    fi
}
trap on_notice USR1
python fit.py --seed $SLURM_ARRAY_TASK_ID --checkpoint "ckpt/$SLURM_ARRAY_TASK_ID" &
pid=$!
until wait "$pid"; do kill -0 "$pid" 2>/dev/null || break; done
