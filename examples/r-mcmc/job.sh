#!/bin/bash
#SBATCH --job-name=mcmc
#SBATCH --time=01:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.out

# Once: R CMD INSTALL ports/r. What tells R that the job will end is outlast: R itself cannot catch the signal.
exec outlast run --store runs/mcmc --max-time 8h -- Rscript mcmc.R 200000
