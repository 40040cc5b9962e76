#!/bin/bash
#SBATCH --time=12:00:00
#SBATCH --ntasks=8

module load openmpi
srun --mpi=pmix --checkpoint=60 ./heat 4096  # <- J37
