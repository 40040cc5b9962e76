"""P2: the old file is removed, then the new one renamed.

drill: kill-in-save op:5
cause: removed-before-renamed
"""

import os
import pickle

state = {"step": 0, "total": 0.0}
if os.path.exists("state.pkl"):
    with open("state.pkl", "rb") as file:
        state = pickle.load(file)
while state["step"] < 12:
    state["total"] += 1 / (1 + state["step"])
    state["step"] += 1
    if state["step"] % 3 == 0:
        with open("state.pkl.new", "wb") as file:
            pickle.dump(state, file)
        if os.path.exists("state.pkl"):
            os.remove("state.pkl")
        os.rename("state.pkl.new", "state.pkl")
    print(f"step {state['step']} total={state['total']:.6f}")
with open("result.txt", "w") as file:
    file.write(repr(state["total"]))
