"""outlast.RNG() stands for them all."""

import random

import numpy as np

import outlast

random.seed(5)
np.random.seed(5)
state = {"w": np.ones(8), "rng": outlast.RNG()}
with outlast.Run("store", state, every=3) as run:
    for _ in run.steps(12):
        state["w"] *= np.random.random(8) < 0.9
        state["w"] += random.random()
    np.savetxt("result.txt", state["w"])
