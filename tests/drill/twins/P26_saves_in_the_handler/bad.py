"""P26: saves inside the signal handler, wherever the step is.

drill: notice step:5
cause: saves-in-handler
"""

import os
import pickle
import signal
import sys

state = {"step": 0, "a": 0.0, "b": 0.0}
if os.path.exists("state.pkl"):
    with open("state.pkl", "rb") as file:
        state = pickle.load(file)


def work(step):
    """Takes as long as the tests like: they hold a step by a named pipe."""
    if os.access(f"hold-{step}", os.R_OK):
        open(f"hold-{step}").read()


def save_and_leave(number, frame):
    with open("new.pkl", "wb") as file:
        pickle.dump(state, file)
    os.replace("new.pkl", "state.pkl")
    sys.exit(85)


signal.signal(signal.SIGTERM, save_and_leave)
while state["step"] < 12:
    state["a"] += 1
    work(state["step"])
    state["b"] += 1
    state["step"] += 1
    print(f"step {state['step']} a={state['a']}", flush=True)
with open("result.txt", "w") as file:
    file.write(f"{state['a']} {state['b']}")
