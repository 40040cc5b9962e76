"""Every loop of the run has its boundaries."""

import os

import outlast


def work(step):
    """Takes as long as the tests like: they hold a step by a named pipe."""
    if os.access(f"hold-{step}", os.R_OK):
        open(f"hold-{step}").read()


state = {"x": 0.0}
with outlast.Run("store", state) as run:
    for step in run.range(20, "warm-up"):
        state["x"] += 1 / (1 + step)
        work(step)
        print(f"at {step} x={state['x']:.6f}", flush=True)
    for step in run.range(10, "training"):
        state["x"] -= 1 / (21 + step)
        print(f"at {step} x={state['x']:.6f}", flush=True)
    with open("result.txt", "w") as file:
        file.write(repr(state["x"]))
