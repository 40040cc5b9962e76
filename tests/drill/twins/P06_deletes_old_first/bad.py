"""P6: the old checkpoint is deleted before the new one is there, "to stay within the quota".

drill: kill-in-save op:3
cause: removed-too-early
"""

import glob
import os
import pickle

state = {"step": 0, "total": 0.0}
found = glob.glob("checkpoint_*.pkl")
if found:
    with open(found[0], "rb") as file:
        state = pickle.load(file)
while state["step"] < 12:
    state["total"] += 1 / (1 + state["step"])
    state["step"] += 1
    if state["step"] % 3 == 0:
        for old in glob.glob("checkpoint_*.pkl"):
            os.remove(old)
        with open(f"checkpoint_{state['step']:04}.pkl", "wb") as file:
            pickle.dump(state, file)
    print(f"step {state['step']} total={state['total']:.6f}")
with open("result.txt", "w") as file:
    file.write(repr(state["total"]))
