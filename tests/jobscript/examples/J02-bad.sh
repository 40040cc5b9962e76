#!/bin/bash
#SBATCH --job-name=gromacs
#SBATCH --time=12:00:00
#SBATCH --ntasks=16
#SBATCH --signal=B:USR1@180  # <- J2

module load gromacs/2023
srun gmx_mpi mdrun -deffnm md -cpi md.cpt -maxh 11.9
