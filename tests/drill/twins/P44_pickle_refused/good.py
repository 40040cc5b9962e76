"""The state of a generator is numbers: outlast keeps it as such."""

import numpy as np

import outlast

state = {"w": np.zeros(4), "rng": np.random.default_rng(2)}
with outlast.Run("store", state, every=3) as run:
    for _ in run.steps(12):
        state["w"] += state["rng"].random(4)
    np.savetxt("result.txt", state["w"])
