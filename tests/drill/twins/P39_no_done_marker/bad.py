"""P39: nothing says that the run is done: started again, it does its last steps once more, or too many.

drill: after-done
cause: no-done-marker
"""

import os
import pickle

state = {"step": 0, "total": 0.0}
if os.path.exists("state.pkl"):
    with open("state.pkl", "rb") as file:
        state = pickle.load(file)
for _ in range(12):
    state["total"] += 1 / (1 + state["step"])
    state["step"] += 1
    if state["step"] % 3 == 0:
        with open("new.pkl", "wb") as file:
            pickle.dump(state, file)
        os.replace("new.pkl", "state.pkl")
    print(f"step {state['step']} total={state['total']:.6f}")
with open("result.txt", "w") as file:
    file.write(repr(state["total"]))
