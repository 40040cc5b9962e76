#!/bin/bash
#SBATCH --time=06:00:00
#SBATCH --gres=gpu:8

cleanup() {
    echo "cleaning up"
    pkill -TERM -f train.py
    sleep 60
    pkill -9 -f train.py
    rm -rf "/dev/shm/$USER"
}
trap cleanup EXIT

torchrun --nproc-per-node 8 train.py
