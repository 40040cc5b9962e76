"""P20: saved in the middle of an epoch, but the epoch starts again at its first batch.

drill: kill step:11
cause: epoch-restarted
"""

import os

import numpy as np

data = np.linspace(0, 1, 12)
w, step = np.zeros(1), 0
if os.path.exists("state.npz"):
    with np.load("state.npz") as saved:
        w, step = saved["w"], int(saved["step"])
while step < 24:
    epoch = step // 4
    order = np.random.default_rng(epoch).permutation(12)
    for batch in order.reshape(4, 3):
        w += 0.1 * (data[batch].mean() - w)
        step += 1
        if step % 3 == 0:
            np.savez("new.npz", w=w, step=step)
            os.replace("new.npz", "state.npz")
        print(f"step {step} w={w[0]:.9f}")
        if step >= 24:
            break
np.savetxt("result.txt", w)
