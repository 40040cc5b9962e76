"""P3: positions and velocities in a file each; nothing commits both.

drill: kill-in-save op:7
cause: several-files
"""

import os

import numpy as np


def save(name, array):
    with open(f"{name}.new", "wb") as file:
        np.save(file, array)
    os.replace(f"{name}.new", name)


x, v, step = np.ones(8), np.zeros(8), 0
if os.path.exists("x.npy"):
    x, v = np.load("x.npy"), np.load("v.npy")
    step = int(x[0])
while step < 12:
    v -= 0.1 * x
    v[0] = 0
    x += 0.1 * v
    x[0] = step + 1
    step += 1
    if step % 3 == 0:
        save("x.npy", x)
        save("v.npy", v)
    print(f"step {step} energy={float(x @ x + v @ v):.9f}")
np.savetxt("result.txt", x)
