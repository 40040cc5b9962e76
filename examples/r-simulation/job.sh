#!/bin/bash
#SBATCH --job-name=simulation
#SBATCH --time=01:00:00
#SBATCH --cpus-per-task=4
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.out

# Once: R CMD INSTALL ports/r. What tells R that the job will end is outlast: R itself cannot catch the signal.
exec outlast run --store runs/simulation --max-time 8h -- Rscript simulation.R 2000 "$SLURM_CPUS_PER_TASK"
