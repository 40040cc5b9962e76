"""One store, one commit for all of the state."""

import numpy as np

import outlast

state = {"x": np.ones(8), "v": np.zeros(8)}
with outlast.Run("store", state, every=3) as run:
    x, v = state["x"], state["v"]
    for step in run.steps(12):
        v -= 0.1 * x
        v[0] = 0
        x += 0.1 * v
        x[0] = step + 1
    np.savetxt("result.txt", x)
