"""P17: the global generators are not saved: dropout and augmentation differ after a restart.

drill: kill step:8
cause: rng-not-restored
"""

import os
import random

import numpy as np

random.seed(5)
np.random.seed(5)
w, step = np.ones(8), 0
if os.path.exists("state.npz"):
    with np.load("state.npz") as saved:
        w, step = saved["w"], int(saved["step"])
while step < 12:
    w *= np.random.random(8) < 0.9
    w += random.random()
    step += 1
    if step % 3 == 0:
        np.savez("new.npz", w=w, step=step)
        os.replace("new.npz", "state.npz")
    print(f"step {step} norm={np.linalg.norm(w):.9f}")
np.savetxt("result.txt", w)
