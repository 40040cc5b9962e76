"""The checkpoint knows how long the file was, and it is cut there."""

import os
import pickle

state = {"step": 0, "total": 0.0, "bytes": 0}
if os.path.exists("state.pkl"):
    with open("state.pkl", "rb") as file:
        state = pickle.load(file)
with open("metrics.csv", "a") as file:
    file.truncate(state["bytes"])
while state["step"] < 12:
    state["total"] += 1 / (1 + state["step"])
    state["step"] += 1
    with open("metrics.csv", "a") as file:
        file.write(f"{state['step']},{state['total']}\n")
        state["bytes"] = file.tell()
    if state["step"] % 3 == 0:
        with open("new.pkl", "wb") as file:
            pickle.dump(state, file)
        os.replace("new.pkl", "state.pkl")
    print(f"step {state['step']} total={state['total']:.6f}")
