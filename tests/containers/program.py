"""A program that counts, with the library of the container's Python: argv is the result's path and the steps."""

import os
import random
import sys
import time

import outlast

out, steps = sys.argv[1], int(sys.argv[2])
state = {"sum": 0, "random": random.Random(7)}
with outlast.Run(os.environ["OUTLAST_STORE"], state, every=10) as run:
    for step in run.steps(steps):
        state["sum"] += state["random"].randrange(1000)
        if not os.path.exists(f"{out}.go"):  # a test wants to see that a notice is heard in this very pass
            print(f"step {step}", flush=True)  # who sees one knows that a signal finds the program ready
            while not run.due():
                time.sleep(0.01)
    with open(out, "w") as file:
        file.write(str(state["sum"]))
