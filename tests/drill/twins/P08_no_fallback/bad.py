"""P8: one copy, and when it is damaged nothing goes on.

drill: damage step:8
cause: no-fallback
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
        os.replace("state.pkl.new", "state.pkl")
    print(f"step {state['step']} total={state['total']:.6f}")
with open("result.txt", "w") as file:
    file.write(repr(state["total"]))
