"""A name is given when the output is whole."""

import os

import numpy as np

for step in range(8):
    name = f"out_{step}.npy"
    if not os.path.exists(name):
        np.save("unfinished.npy", np.full(100, 1.5**step))
        os.replace("unfinished.npy", name)
    print(f"step {step} done")
