#!/bin/bash
#SBATCH -J vasp
#SBATCH -t 12:00:00
#SBATCH --requeue  # <- J14
#SBATCH -o vasp.log

module load vasp
if [ -s CONTCAR ]; then cp CONTCAR POSCAR; fi
srun vasp_std
