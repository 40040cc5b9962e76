"""Options that are not known are refused; this one is known."""

import argparse
import os
import pickle

parser = argparse.ArgumentParser()
parser.add_argument("--checkpoint-every", type=int, default=0)
options = parser.parse_args(["--checkpoint-every", "3"])
state = {"step": 0, "total": 0.0}
if os.path.exists("state.pkl"):
    with open("state.pkl", "rb") as file:
        state = pickle.load(file)
while state["step"] < 12:
    state["total"] += 1 / (1 + state["step"])
    state["step"] += 1
    if options.checkpoint_every and state["step"] % options.checkpoint_every == 0:
        with open("new.pkl", "wb") as file:
            pickle.dump(state, file)
        os.replace("new.pkl", "state.pkl")
    print(f"step {state['step']} total={state['total']:.6f}")
with open("result.txt", "w") as file:
    file.write(repr(state["total"]))
