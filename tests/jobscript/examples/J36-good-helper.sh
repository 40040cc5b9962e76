#!/bin/bash
#SBATCH --time=06:00:00

nvidia-smi --query-gpu=utilization.gpu --format=csv -l 10 > gpu.csv &
monitor=$!
srun python train.py
kill -9 $monitor
