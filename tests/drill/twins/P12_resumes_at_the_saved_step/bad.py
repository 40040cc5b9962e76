"""P12: resumes at the saved step, not after it: 1 to 100 adds up to more than 5050.

drill: kill step:57
cause: step-twice
"""

import os

import numpy as np

total, start = np.zeros(1), 1
if os.path.exists("state.npz"):
    with np.load("state.npz") as saved:
        total, start = saved["total"], int(saved["step"])
for step in range(start, 101):
    total += step
    if step % 10 == 0:
        np.savez("new.npz", total=total, step=step)
        os.replace("new.npz", "state.npz")
    print(f"step {step} total={total[0]:.0f}")
np.savetxt("result.txt", total)
