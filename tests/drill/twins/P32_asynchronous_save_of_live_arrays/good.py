"""outlast copies what changed at the boundary, and writes the copy behind the loop."""

import time

import numpy as np

import outlast

state = {"u": np.ones(8), "v": np.ones(8)}
with outlast.Run("store", state, every=5) as run:
    for _ in run.steps(16):
        state["u"] *= 1.01
        state["v"] += state["u"]
        time.sleep(0.01)
    np.savetxt("result.txt", state["v"])
