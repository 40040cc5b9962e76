"""Another name, synced, then renamed: there is a whole file at any instant."""

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
        with open("state.pkl.new", "wb") as file:
            pickle.dump((step, total, random.getstate()), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace("state.pkl.new", "state.pkl")
    print(f"step {step} total={total:.6f}")
with open("result.txt", "w") as file:
    file.write(repr(total))
