#!/bin/bash
#SBATCH --time=06:00:00
#SBATCH --gres=gpu:8

cleanup() {
    echo "cleaning up"
    pkill -9 -f train.py  # <- J36
    rm -rf "/dev/shm/$USER"
}
trap cleanup EXIT

torchrun --nproc-per-node 8 train.py
