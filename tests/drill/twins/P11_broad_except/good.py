"""Only "there is none" is no error; and plain arrays need no pickle."""

import os

import numpy as np

u, step = np.ones(8), 0
try:
    with np.load("checkpoint.npz") as saved:
        u, step = saved["u"], int(saved["step"])
except FileNotFoundError:
    print("starting from scratch")
while step < 12:
    u *= 1.01
    step += 1
    if step % 3 == 0:
        np.savez("new.npz", u=u, step=step)
        os.replace("new.npz", "checkpoint.npz")
    print(f"step {step} u={u[0]:.6f}")
np.savetxt("result.txt", u)
