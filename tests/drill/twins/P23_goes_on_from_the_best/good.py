"""The best ones are kept apart."""

import os

import numpy as np

w, step, best = np.full(4, 2.0), 0, np.inf
if os.path.exists("last.npz"):
    with np.load("last.npz") as saved:
        w, step, best = saved["w"], int(saved["step"]), float(saved["best"])
while step < 16:
    w += 0.1 * np.cos(step)
    step += 1
    value = float(w @ w)
    if value < best:
        best = value
        np.savez("new.npz", w=w, best=best)
        os.replace("new.npz", "best.npz")
    np.savez("new.npz", w=w, step=step, best=best)
    os.replace("new.npz", "last.npz")
    print(f"step {step} value={value:.9f}")
np.savetxt("result.txt", w)
