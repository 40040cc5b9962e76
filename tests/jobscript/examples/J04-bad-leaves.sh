#!/bin/bash
#SBATCH --time=04:00:00
#SBATCH --signal=B:USR1@120

term() {
    kill -USR1 "$PID"
    exit 0  # <- J4
}
trap 'term' USR1

./simulate input.toml &
PID=$!
wait $PID
wait $PID
