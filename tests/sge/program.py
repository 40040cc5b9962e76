"""A user's program: `program.py OUT STEPS PAUSE_S ATTEMPTS`. Its steps take time in so many first attempts.

It appends each step that it does to OUT/steps, and writes OUT/result at the end; of an array's task, behind its number.
"""

import json
import os
import random
import sys
import time

import outlast

task = os.environ.get("SGE_TASK_ID", "undefined").replace("undefined", "")
out, steps, pause_s, attempts = os.path.join(sys.argv[1], task), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
os.makedirs(out, exist_ok=True)
state = {"total": 0.0, "seen": [], "rng": random.Random(7)}

with outlast.Run(os.environ["OUTLAST_STORE"], state, every=40) as run:
    for step in run.steps(steps):
        state["total"] += state["rng"].random() * (step + 1)
        state["seen"].append(step)
        if run.attempt <= attempts:
            time.sleep(pause_s)
        with open(os.path.join(out, "steps"), "a") as file:
            file.write(f"{step}\n")

with open(os.path.join(out, "result"), "w") as file:
    json.dump([state["total"].hex(), state["seen"], state["rng"].random().hex()], file)
