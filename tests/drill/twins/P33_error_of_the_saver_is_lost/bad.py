"""P33: the error of the save in the background is never raised: it goes on without checkpoints.

drill: full-disk step:5
cause: background-error
"""

import os
import pickle
import threading

import numpy as np


def work(step):
    """Takes as long as the tests like: they hold a step by a named pipe."""
    if os.access(f"hold-{step}", os.R_OK):
        open(f"hold-{step}").read()


def write(u, step):
    with open("new.pkl", "wb") as file:
        pickle.dump((u, step), file)
    os.replace("new.pkl", "state.pkl")


u, step = np.ones(2000), 0
if os.path.exists("state.pkl"):
    with open("state.pkl", "rb") as file:
        u, step = pickle.load(file)
while step < 16:
    u *= 1.01
    step += 1
    work(step)
    saver = threading.Thread(target=write, args=(u.copy(), step))
    saver.start()
    print(f"step {step} u={u[0]:.9f}", flush=True)
    saver.join()
with open("result.txt", "w") as file:
    file.write(repr(float(u[0])))
