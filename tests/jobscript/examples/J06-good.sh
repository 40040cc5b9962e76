#!/bin/bash
#SBATCH --time=7-00:00:00
#SBATCH --ntasks=32

module load lammps
mpirun -np 32 lmp -in in.melt > log.out 2>&1
