"""P36: nothing keeps two copies of the job from writing the same files.

drill: second-copy step:5
cause: two-writers
"""

import os
import pickle


def work(step):
    """Takes as long as the tests like: they hold a step by a named pipe."""
    if os.access(f"hold-{step}", os.R_OK):
        open(f"hold-{step}").read()


state = {"step": 0, "total": 0.0}
if os.path.exists("state.pkl"):
    with open("state.pkl", "rb") as file:
        state = pickle.load(file)
while state["step"] < 12:
    state["total"] += 1 / (1 + state["step"])
    state["step"] += 1
    with open("rows.csv", "a") as file:
        file.write(f"{state['step']},{state['total']}\n")
    if state["step"] % 3 == 0:
        with open("new.pkl", "wb") as file:
            pickle.dump(state, file)
        os.replace("new.pkl", "state.pkl")
    print(f"step {state['step']} total={state['total']:.6f}", flush=True)
    work(state["step"])
with open("result.txt", "w") as file:
    file.write(repr(state["total"]))
