"""P7: the newest folder with a number is taken, finished or not.

drill: kill-in-save op:6
cause: unfinished-chosen
"""

import os
import pickle

import numpy as np

u, step = np.ones(8), 0
folders = sorted(name for name in os.listdir(".") if name.startswith("step_"))
if folders:
    u = np.load(os.path.join(folders[-1], "u.npy"))
    with open(os.path.join(folders[-1], "step.pkl"), "rb") as file:
        step = pickle.load(file)
while step < 12:
    u *= 1.01
    step += 1
    if step % 3 == 0:
        folder = f"step_{step:06}"
        os.makedirs(folder, exist_ok=True)
        np.save(os.path.join(folder, "u.npy"), u)
        with open(os.path.join(folder, "step.pkl"), "wb") as file:
            pickle.dump(step, file)
    print(f"step {step} u={u[0]:.6f}")
np.savetxt("result.txt", u)
