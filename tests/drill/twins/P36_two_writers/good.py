"""One writer a run: the second copy is refused."""

import os

import outlast


def work(step):
    """Takes as long as the tests like: they hold a step by a named pipe."""
    if os.access(f"hold-{step}", os.R_OK):
        open(f"hold-{step}").read()


state = {"total": 0.0, "rows": []}
with outlast.Run("store", state, every=3) as run:
    for step in run.steps(12):
        state["total"] += 1 / (1 + step)
        state["rows"].append(state["total"])
        print(f"at {step} total={state['total']:.6f}", flush=True)
        work(step)
    with open("rows.csv", "w") as file:
        file.writelines(f"{step + 1},{total}\n" for step, total in enumerate(state["rows"]))
