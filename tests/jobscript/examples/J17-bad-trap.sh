#!/bin/bash
#SBATCH --time=08:00:00
#SBATCH --signal=B:USR1@180
#SBATCH --requeue
#SBATCH --open-mode=append

trap 'wait "$pid"; scontrol requeue $SLURM_JOB_ID' USR1  # <- J17
srun ./simulation &
pid=$!
wait "$pid"
wait "$pid"
