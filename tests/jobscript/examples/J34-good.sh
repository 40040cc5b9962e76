#!/bin/bash
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@900
#SBATCH --requeue
#SBATCH --open-mode=append

rm -f STOPCAR
trap 'echo "LSTOP = .TRUE." > STOPCAR' USR1
if [ -s CONTCAR ]; then cp CONTCAR POSCAR; fi
srun vasp_std &
wait
wait
