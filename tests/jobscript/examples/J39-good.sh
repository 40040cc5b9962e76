#!/bin/bash
#SBATCH --time=48:00:00
#SBATCH --time-min=04:00:00
#SBATCH --ntasks=64

module load gromacs
hours=$(scontrol show job "$SLURM_JOB_ID" -o | ./hours_left.py)
srun gmx_mpi mdrun -deffnm md -cpi md.cpt -maxh "$hours"
