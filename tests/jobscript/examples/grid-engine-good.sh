#!/bin/bash
#$ -N sweep
#$ -l h_rt=24:00:00
#$ -notify
#$ -r y

trap 'kill -USR1 "$pid"; wait "$pid"; exit 99' USR1 USR2
./simulate --resume &
pid=$!
wait "$pid"
