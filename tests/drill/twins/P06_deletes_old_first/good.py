"""The old one goes when the new one is whole."""

import glob
import os
import pickle

state = {"step": 0, "total": 0.0}
found = sorted(glob.glob("checkpoint_????.pkl"))
if found:
    with open(found[-1], "rb") as file:
        state = pickle.load(file)
while state["step"] < 12:
    state["total"] += 1 / (1 + state["step"])
    state["step"] += 1
    if state["step"] % 3 == 0:
        name = f"checkpoint_{state['step']:04}.pkl"
        with open(f"{name}.new", "wb") as file:
            pickle.dump(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{name}.new", name)
        for old in sorted(glob.glob("checkpoint_????.pkl"))[:-2]:
            os.remove(old)
    print(f"step {state['step']} total={state['total']:.6f}")
with open("result.txt", "w") as file:
    file.write(repr(state["total"]))
