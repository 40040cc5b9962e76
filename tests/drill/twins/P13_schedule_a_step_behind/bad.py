"""P13: saved before the scheduler's step, so that it is an epoch behind after a restart.

drill: kill step:8
cause: schedule-shifted
"""

import os

import numpy as np


class Decay:
    def __init__(self):
        self.lr, self.epoch = 0.1, 0

    def step(self):
        self.epoch += 1
        self.lr = 0.1 * 0.9**self.epoch


w, schedule, epoch = np.ones(8), Decay(), 0
if os.path.exists("state.npz"):
    with np.load("state.npz") as saved:
        w, epoch, schedule.epoch, schedule.lr = saved["w"], int(saved["epoch"]), int(saved["count"]), float(saved["lr"])
while epoch < 12:
    w -= schedule.lr * 0.1 * w
    epoch += 1
    if epoch % 3 == 0:
        np.savez("new.npz", w=w, epoch=epoch, count=schedule.epoch, lr=schedule.lr)
        os.replace("new.npz", "state.npz")
    schedule.step()
    print(f"epoch {epoch} norm={np.linalg.norm(w):.9f}")
np.savetxt("result.txt", w)
