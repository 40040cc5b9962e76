"""P23: the best weights are taken for the point to go on from.

drill: kill step:10
cause: best-not-last
"""

import os

import numpy as np

w, step, best = np.full(4, 2.0), 0, np.inf
if os.path.exists("best.npz"):
    with np.load("best.npz") as saved:
        w, best = saved["w"], float(saved["best"])
    with np.load("last.npz") as saved:
        step = int(saved["step"])
while step < 16:
    w += 0.1 * np.cos(step)
    step += 1
    value = float(w @ w)
    if value < best:
        best = value
        np.savez("new.npz", w=w, best=best)
        os.replace("new.npz", "best.npz")
    np.savez("new.npz", w=w, step=step)
    os.replace("new.npz", "last.npz")
    print(f"step {step} value={value:.9f}")
np.savetxt("result.txt", w)
