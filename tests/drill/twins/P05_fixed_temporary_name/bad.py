"""P5: a fixed temporary name that must not be there.

drill: kill-in-save save:2
cause: stale-temporary
"""

import json
import os

state = {"step": 0, "total": 0.0}
if os.path.exists("state.json"):
    with open("state.json") as file:
        state = json.load(file)
while state["step"] < 12:
    state["total"] += 1 / (1 + state["step"])
    state["step"] += 1
    if state["step"] % 3 == 0:
        with open("state.json.tmp", "x") as file:
            json.dump(state, file)
        os.replace("state.json.tmp", "state.json")
    print(f"step {state['step']} total={state['total']:.6f}")
with open("result.txt", "w") as file:
    file.write(repr(state["total"]))
