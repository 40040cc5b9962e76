"""A failed save ends the loop at the next boundary; the last good checkpoint stays."""

import os

import numpy as np

import outlast


def work(step):
    """Takes as long as the tests like: they hold a step by a named pipe."""
    if os.access(f"hold-{step}", os.R_OK):
        open(f"hold-{step}").read()


state = {"u": np.ones(2000)}
with outlast.Run("store", state, every=1) as run:
    for step in run.steps(16):
        state["u"] *= 1.01
        work(step)
    with open("result.txt", "w") as file:
        file.write(repr(float(state["u"][0])))
