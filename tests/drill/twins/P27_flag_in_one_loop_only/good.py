"""Every loop of the run has its boundaries."""

import time

import outlast

state = {"x": 0.0}
with outlast.Run("store", state) as run:
    for step in run.range(20, "warm-up"):
        state["x"] += 1 / (1 + step)
        time.sleep(0.02)
        print(f"at {step} x={state['x']:.6f}", flush=True)
    for step in run.range(10, "training"):
        state["x"] -= 1 / (21 + step)
        print(f"at {step} x={state['x']:.6f}", flush=True)
    with open("result.txt", "w") as file:
        file.write(repr(state["x"]))
