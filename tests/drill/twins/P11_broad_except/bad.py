"""P11: whatever goes wrong in the restore is taken for "there is nothing to restore".

drill: kill step:8
cause: error-swallowed
"""

import os

import numpy as np

u, step = np.ones(8), 0
try:
    saved = np.load("checkpoint.npy").item()
    u, step = saved["u"], saved["step"]
except Exception:
    print("starting from scratch")
while step < 12:
    u *= 1.01
    step += 1
    if step % 3 == 0:
        np.save("new.npy", {"u": u, "step": step})
        os.replace("new.npy", "checkpoint.npy")
    print(f"step {step} u={u[0]:.6f}")
np.savetxt("result.txt", u)
