"""P38: resumes only where somebody has added --resume by hand.

drill: kill step:8
cause: never-looks
"""

import os
import pickle
import sys

state = {"step": 0, "total": 0.0}
if "--resume" in sys.argv:
    with open("state.pkl", "rb") as file:
        state = pickle.load(file)
while state["step"] < 12:
    state["total"] += 1 / (1 + state["step"])
    state["step"] += 1
    if state["step"] % 3 == 0:
        with open("new.pkl", "wb") as file:
            pickle.dump(state, file)
        os.replace("new.pkl", "state.pkl")
    print(f"step {state['step']} total={state['total']:.6f}")
with open("result.txt", "w") as file:
    file.write(repr(state["total"]))
