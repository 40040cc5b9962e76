#!/bin/bash
#SBATCH --time=48:00:00
#SBATCH --time-min=04:00:00  
#SBATCH --ntasks=64

module load gromacs
srun gmx_mpi mdrun -deffnm md -cpi md.cpt -maxh 47.5  # <- J39
