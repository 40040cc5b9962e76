"""P27: the flag is looked at in the training loop only, not while it warms up or evaluates.

drill: notice step:3
cause: notice-ignored
"""

import os
import pickle
import signal
import sys

is_told = False


def work(step):
    """Takes as long as the tests like: they hold a step by a named pipe."""
    if os.access(f"hold-{step}", os.R_OK):
        open(f"hold-{step}").read()


def hear(number, frame):
    global is_told
    is_told = True


signal.signal(signal.SIGTERM, hear)
state = {"step": 0, "x": 0.0}
if os.path.exists("state.pkl"):
    with open("state.pkl", "rb") as file:
        state = pickle.load(file)
while state["step"] < 20:  # warm-up
    state["x"] += 1 / (1 + state["step"])
    state["step"] += 1
    work(state["step"])
    print(f"step {state['step']} x={state['x']:.6f}", flush=True)
while state["step"] < 30:
    state["x"] -= 1 / (1 + state["step"])
    state["step"] += 1
    print(f"step {state['step']} x={state['x']:.6f}", flush=True)
    if is_told:
        with open("new.pkl", "wb") as file:
            pickle.dump(state, file)
        os.replace("new.pkl", "state.pkl")
        sys.exit(85)
with open("result.txt", "w") as file:
    file.write(repr(state["x"]))
