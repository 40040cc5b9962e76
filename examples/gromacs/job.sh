#!/bin/bash
#SBATCH --job-name=md
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.out

# Before: gmx grompp -f md.mdp -c start.gro -p topol.top -o run.tpr. The recipe adds -cpi from the second job on.
exec outlast run --recipe gromacs --store runs/md --max-time 30d -- gmx mdrun -deffnm run
