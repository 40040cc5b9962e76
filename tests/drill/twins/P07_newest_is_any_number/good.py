"""A folder gets its name when all is in it."""

import os
import pickle
import shutil

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
        shutil.rmtree("unfinished", ignore_errors=True)
        os.makedirs("unfinished")
        np.save("unfinished/u.npy", u)
        with open("unfinished/step.pkl", "wb") as file:
            pickle.dump(step, file)
        os.rename("unfinished", f"step_{step:06}")
    print(f"step {step} u={u[0]:.6f}")
np.savetxt("result.txt", u)
