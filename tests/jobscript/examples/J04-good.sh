#!/bin/bash
#SBATCH --time=04:00:00
#SBATCH --signal=B:USR1@120

# hand the notice on to the program, which saves and leaves
trap 'echo "notice at $(date)"; kill -USR1 $PID' USR1

srun ./simulate input.toml &
PID=$!
wait $PID
wait $PID  # the first one is ended by the signal
echo "finished with $?"
