#!/bin/bash
#SBATCH --job-name=md
#SBATCH --time=24:00:00

MAX_LINKS=30
link=$(cat link 2>/dev/null || echo 0)
srun gmx_mpi mdrun -deffnm prod -cpi prod.cpt -maxh 23.8
status=$?
echo $((link + 1)) > link
if [ $status -eq 0 ] && [ ! -f prod.gro ] && [ "$link" -lt "$MAX_LINKS" ]; then
    sbatch "$0"  # <- J18
fi
