"""P35: what exists counts as done, torn or not.

drill: kill-in-save save:4
cause: output-taken-for-done
"""

import os

import numpy as np

for step in range(8):
    name = f"out_{step}.npy"
    if not os.path.exists(name):
        np.save(name, np.full(100, 1.5**step))
    print(f"step {step} done")
