"""Three checkpoints are kept, each is verified, and the one before a damaged one is used."""

import outlast

state = {"total": 0.0}
with outlast.Run("store", state, every=3) as run:
    for step in run.steps(12):
        state["total"] += 1 / (1 + step)
        run.wait()  # these steps are too short to save behind them
    with open("result.txt", "w") as file:
        file.write(repr(state["total"]))
