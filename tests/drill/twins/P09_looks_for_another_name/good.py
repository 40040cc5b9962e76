"""One constant for the name."""

import os

import numpy as np

NAME = "checkpoint.npz"

u, step = np.ones(8), 0
if os.path.exists(NAME):
    with np.load(NAME) as saved:
        u, step = saved["u"], int(saved["step"])
while step < 12:
    u *= 1.01
    step += 1
    if step % 3 == 0:
        np.savez(f"new_{NAME}", u=u, step=step)
        os.replace(f"new_{NAME}", NAME)
    print(f"step {step} u={u[0]:.6f}")
np.savetxt("result.txt", u)
