"""The run knows when a save is due."""

import outlast

state = {"total": 0.0}
with outlast.Run("store", state, every="1s") as run:
    for step in run.steps(12):
        state["total"] += 1 / (1 + step)
    with open("result.txt", "w") as file:
        file.write(repr(state["total"]))
