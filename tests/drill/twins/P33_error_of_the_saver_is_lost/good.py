"""A failed save ends the loop at the next boundary; the last good checkpoint stays."""

import time

import numpy as np

import outlast

state = {"u": np.ones(2000)}
with outlast.Run("store", state, every=1) as run:
    for _ in run.steps(16):
        state["u"] *= 1.01
        time.sleep(0.02)
    with open("result.txt", "w") as file:
        file.write(repr(float(state["u"][0])))
