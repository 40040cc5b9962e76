"""P49: says that it is done, and then writes the result.

drill: kill-in-save op:10
cause: result-before-durable
"""

import os
import pickle

state = {"step": 0, "total": 0.0}
if os.path.exists("state.pkl"):
    with open("state.pkl", "rb") as file:
        state = pickle.load(file)
while state["step"] < 12 and not os.path.exists("DONE"):
    state["total"] += 1 / (1 + state["step"])
    state["step"] += 1
    if state["step"] % 3 == 0:
        with open("new.pkl", "wb") as file:
            pickle.dump(state, file)
        os.replace("new.pkl", "state.pkl")
    print(f"step {state['step']} total={state['total']:.6f}")
if not os.path.exists("DONE"):
    open("DONE", "w").close()
    with open("result.txt", "w") as file:
        file.write(repr(state["total"]))
