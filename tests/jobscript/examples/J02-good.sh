#!/bin/bash
#SBATCH --job-name=gromacs
#SBATCH --time=12:00:00
#SBATCH --ntasks=16
#SBATCH --signal=B:USR1@180

module load gromacs/2023
trap 'kill -TERM "$pid"' USR1
srun gmx_mpi mdrun -deffnm md -cpi md.cpt &
pid=$!
while kill -0 "$pid" 2>/dev/null; do
    wait "$pid"
done
