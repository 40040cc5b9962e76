"""A loop under outlast; `python steps.py FAULT` leaves something out, as people do."""

import sys
import time

import numpy as np

import outlast

fault = sys.argv[1] if len(sys.argv) > 1 else ""
rng = np.random.default_rng(7)
state = {"w": np.zeros(8), "rng": rng}
if fault == "rng":
    state["rng"] = 0
if fault == "clock":
    state["began"] = time.time()
with outlast.Run("ckpt", state, every=10) as run:
    for step in run.steps(100):
        time.sleep(0.01)
        state["w"] += rng.random(8)
        run.log(mean=state["w"].mean())
        if fault == "rows":
            with open("rows.csv", "a") as rows:
                print(step, state["w"][0], file=rows)
    np.savetxt("w.txt", state["w"])
