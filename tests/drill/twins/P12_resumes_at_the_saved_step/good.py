"""The run counts its steps itself."""

import numpy as np

import outlast

state = {"total": np.zeros(1)}
with outlast.Run("store", state, every=10) as run:
    for step in run.steps(100):
        state["total"] += step + 1
    np.savetxt("result.txt", state["total"])
