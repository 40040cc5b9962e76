"""P32: a thread writes the live arrays while the loop changes them.

drill: kill step:11
cause: mixed-steps
"""

import os
import pickle
import threading
import time

import numpy as np


def write(state):
    with open("new.pkl", "wb") as file:
        for value in state.values():
            pickle.dump(value, file)
            time.sleep(0.03)  # a busy file system
    os.replace("new.pkl", "state.pkl")


state = {"step": np.zeros(1), "u": np.ones(8), "v": np.ones(8)}
if os.path.exists("state.pkl"):
    with open("state.pkl", "rb") as file:
        state = {name: pickle.load(file) for name in state}
saver = None
while state["step"][0] < 16:
    state["u"] *= 1.01
    state["v"] += state["u"]
    state["step"] += 1
    time.sleep(0.01)
    if state["step"][0] % 5 == 0:
        if saver:
            saver.join()
        saver = threading.Thread(target=write, args=(state,))
        saver.start()
    print(f"step {int(state['step'][0])} v={state['v'][0]:.9f}")
saver.join()
np.savetxt("result.txt", state["v"])
