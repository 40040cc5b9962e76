"""P9: writes one name and looks for another.

drill: kill step:8
cause: other-name
"""

import os

import numpy as np

u, step = np.ones(8), 0
if os.path.exists("checkpoint.npy"):
    with np.load("checkpoint.npy") as saved:
        u, step = saved["u"], int(saved["step"])
while step < 12:
    u *= 1.01
    step += 1
    if step % 3 == 0:
        np.savez("checkpoint", u=u, step=step)
    print(f"step {step} u={u[0]:.6f}")
np.savetxt("result.txt", u)
