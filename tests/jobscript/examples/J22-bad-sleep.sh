#!/bin/bash
#SBATCH --time=06:00:00
#SBATCH --signal=B:USR1@120

trap 'kill -USR1 $pid; sleep 300' USR1  # <- J22
srun python train.py &
pid=$!
wait $pid
wait $pid
