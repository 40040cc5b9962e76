"""P19: the generator is restored, and then the batches that were seen are skipped by drawing them.

drill: kill step:8
cause: rng-moved-on
"""

import os
import pickle

import numpy as np

data = np.linspace(0, 1, 60)
rng = np.random.default_rng(3)


def batches():
    for k in range(12):
        rng.random()  # augmentation
        yield data[5 * k : 5 * k + 5]


w, step = np.zeros(1), 0
if os.path.exists("state.pkl"):
    with open("state.pkl", "rb") as file:
        saved = pickle.load(file)
    w, step, rng.bit_generator.state = saved["w"], saved["step"], saved["rng"]
loader = batches()
for _ in range(step):
    next(loader)
for batch in loader:
    w += 0.1 * (batch.mean() + rng.normal() - w)
    step += 1
    if step % 3 == 0:
        with open("new.pkl", "wb") as file:
            pickle.dump({"w": w, "step": step, "rng": rng.bit_generator.state}, file)
        os.replace("new.pkl", "state.pkl")
    print(f"step {step} w={w[0]:.9f}")
np.savetxt("result.txt", w)
