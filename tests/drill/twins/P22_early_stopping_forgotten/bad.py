"""P22: the best value and the patience are not saved: training stops elsewhere, the best model is overwritten.

drill: kill step:8
cause: best-forgotten
"""

import os

import numpy as np

w, step, best, patience = np.full(4, -2.5), 0, np.inf, 6
if os.path.exists("state.npz"):
    with np.load("state.npz") as saved:
        w, step = saved["w"], int(saved["step"])
while step < 30 and patience > 0:
    w += 0.5
    step += 1
    value = float(w @ w)
    best, patience = (value, 6) if value < best else (best, patience - 1)
    if step % 3 == 0:
        np.savez("new.npz", w=w, step=step)
        os.replace("new.npz", "state.npz")
    print(f"step {step} value={value:.9f}")
with open("result.txt", "w") as file:
    file.write(f"{best!r} after {step} steps")
