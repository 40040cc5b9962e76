#!/bin/bash
#SBATCH --job-name=octave-digits
#SBATCH --time=00:30:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.out

# Octave cannot catch signals: outlast does, and asks it by files.
exec outlast run --store runs/octave-digits --max-time 8h -- octave-cli --eval train
