"""The handler sets a flag; the loop looks at it where the state is whole."""

import os
import pickle
import signal
import sys

state = {"step": 0, "a": 0.0, "b": 0.0}
if os.path.exists("state.pkl"):
    with open("state.pkl", "rb") as file:
        state = pickle.load(file)
is_told = False


def work(step):
    """Takes as long as the tests like: they hold a step by a named pipe."""
    if os.access(f"hold-{step}", os.R_OK):
        open(f"hold-{step}").read()


def hear(number, frame):
    global is_told
    is_told = True


signal.signal(signal.SIGTERM, hear)
while state["step"] < 12:
    state["a"] += 1
    work(state["step"])
    state["b"] += 1
    state["step"] += 1
    print(f"step {state['step']} a={state['a']}", flush=True)
    if is_told:
        with open("new.pkl", "wb") as file:
            pickle.dump(state, file)
        os.replace("new.pkl", "state.pkl")
        sys.exit(85)
with open("result.txt", "w") as file:
    file.write(f"{state['a']} {state['b']}")
