"""The same command, first and later."""

import outlast

state = {"total": 0.0}
with outlast.Run("store", state, every=3) as run:
    for step in run.steps(12):
        state["total"] += 1 / (1 + step)
    with open("result.txt", "w") as file:
        file.write(repr(state["total"]))
