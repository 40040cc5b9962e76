"""P1: the only copy is overwritten in place.

drill: kill-in-save save:3
cause: overwritten-in-place
"""

import os
import pickle
import random

random.seed(1)
step, total = 0, 0.0
if os.path.exists("state.pkl"):
    with open("state.pkl", "rb") as file:
        step, total, generator = pickle.load(file)
    random.setstate(generator)
while step < 12:
    total += random.random()
    step += 1
    if step % 3 == 0:
        with open("state.pkl", "wb") as file:
            pickle.dump((step, total, random.getstate()), file)
    print(f"step {step} total={total:.6f}")
with open("result.txt", "w") as file:
    file.write(repr(total))
