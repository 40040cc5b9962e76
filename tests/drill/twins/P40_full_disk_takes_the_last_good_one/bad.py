"""P40: on a full disk the save fails, and has already cut the last good one off.

drill: full-disk step:5
cause: overwritten-in-place
"""

import os
import pickle

import numpy as np


def work(step):
    """Takes as long as the tests like: they hold a step by a named pipe."""
    if os.access(f"hold-{step}", os.R_OK):
        open(f"hold-{step}").read()


u, step = np.ones(2000), 0
if os.path.exists("state.pkl"):
    with open("state.pkl", "rb") as file:
        u, step = pickle.load(file)
while step < 16:
    u *= 1.01
    step += 1
    work(step)
    with open("state.pkl", "wb") as file:
        pickle.dump((u, step), file)
    print(f"step {step} u={u[0]:.9f}", flush=True)
with open("result.txt", "w") as file:
    file.write(repr(float(u[0])))
