"""P18: the generator that shuffles is seeded anew at each start: epoch 0's order comes again.

drill: kill step:14
cause: order-replayed
"""

import os

import numpy as np

data = np.linspace(0, 1, 12)
rng = np.random.default_rng(3)
w, epoch, step = np.zeros(1), 0, 0
if os.path.exists("state.npz"):
    with np.load("state.npz") as saved:
        w, epoch, step = saved["w"], int(saved["epoch"]), int(saved["step"])
while epoch < 6:
    order = rng.permutation(12)
    for batch in order.reshape(4, 3):
        w += 0.1 * (data[batch].mean() - w)
        step += 1
        print(f"step {step} w={w[0]:.9f}")
    epoch += 1
    np.savez("new.npz", w=w, epoch=epoch, step=step)
    os.replace("new.npz", "state.npz")
np.savetxt("result.txt", w)
