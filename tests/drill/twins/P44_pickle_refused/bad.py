"""P44: the generator's state is an object array, which the safe loader refuses, with reason.

drill: kill step:8
cause: refused-by-loader
"""

import os

import numpy as np

rng = np.random.default_rng(2)
w, step = np.zeros(4), 0
if os.path.exists("state.npz"):
    with np.load("state.npz") as saved:
        w, step = saved["w"], int(saved["step"])
        rng.bit_generator.state = saved["rng"].item()
while step < 12:
    w += rng.random(4)
    step += 1
    if step % 3 == 0:
        np.savez("new.npz", w=w, step=step, rng=rng.bit_generator.state)
        os.replace("new.npz", "state.npz")
    print(f"step {step} norm={np.linalg.norm(w):.9f}")
np.savetxt("result.txt", w)
