"""The generator is in the state, and the position within the epoch is the run's business."""

import numpy as np

import outlast

data = np.linspace(0, 1, 12)
state = {"w": np.zeros(1), "rng": np.random.default_rng(3), "order": np.zeros(12, int)}
with outlast.Run("store", state, every=3) as run:
    for epoch in run.range(6, "epoch"):
        state["order"][:] = state["rng"].permutation(12)
        for place in run.range(4, "batch"):
            batch = state["order"].reshape(4, 3)[place]
            state["w"] += 0.1 * (data[batch].mean() - state["w"])
    np.savetxt("result.txt", state["w"])
