#!/bin/bash
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@900
#SBATCH --requeue
#SBATCH --open-mode=append

trap 'echo "LSTOP = .TRUE." > STOPCAR' USR1  # <- J34
if [ -s CONTCAR ]; then cp CONTCAR POSCAR; fi
srun vasp_std &
wait
wait
