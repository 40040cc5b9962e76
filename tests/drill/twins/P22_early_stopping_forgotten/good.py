"""All that decides is in the state."""

import numpy as np

import outlast

state = {"w": np.full(4, -2.5), "best": np.inf, "patience": 6}
with outlast.Run("store", state, every=3) as run:
    for _ in run.steps(30):
        state["w"] += 0.5
        value = float(state["w"] @ state["w"])
        state["patience"] = 6 if value < state["best"] else state["patience"] - 1
        state["best"] = min(value, state["best"])
        if state["patience"] <= 0:
            break
    with open("result.txt", "w") as file:
        file.write(f"{state['best']!r} after {run.step} steps")
