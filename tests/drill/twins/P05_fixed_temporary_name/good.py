"""What a killed save left behind is overwritten."""

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
        with open("state.json.tmp", "w") as file:
            json.dump(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace("state.json.tmp", "state.json")
    print(f"step {state['step']} total={state['total']:.6f}")
with open("result.txt", "w") as file:
    file.write(repr(state["total"]))
