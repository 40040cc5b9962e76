#!/bin/bash
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

before=$(./steps_done)
srun ./simulation
after=$(./steps_done)
if [ "$after" -gt "$before" ] && [ ! -f finished ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
