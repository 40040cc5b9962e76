"""P28: the notice goes to the whole group: the loader's workers die of it, and the loop with them.

drill: notice-group step:5
cause: workers-die
"""

import os
import signal
import sys

import torch
from torch.utils.data import DataLoader, TensorDataset

is_told = False


def work(step):
    """Takes as long as the tests like: they hold a step by a named pipe."""
    if os.access(f"hold-{step}", os.R_OK):
        open(f"hold-{step}").read()


def hear(number, frame):
    global is_told
    is_told = True


signal.signal(signal.SIGTERM, hear)
torch.manual_seed(1)
w, epoch, step = torch.zeros(4), 0, 0
data = TensorDataset(torch.arange(240, dtype=torch.float32).reshape(60, 4))
if os.path.exists("state.pt"):
    saved = torch.load("state.pt")
    w, epoch, step = saved["w"], saved["epoch"], saved["step"]
while epoch < 2:
    for (x,) in DataLoader(data, batch_size=4, num_workers=2):
        w += 0.1 * (x.mean(0) - w)
        step += 1
        work(step)
        print(f"step {step} norm={float(w.norm()):.6f}", flush=True)
    epoch += 1
    if is_told or epoch == 2:
        torch.save({"w": w, "epoch": epoch, "step": step}, "new.pt")
        os.replace("new.pt", "state.pt")
    if is_told:
        sys.exit(85)
with open("result.txt", "w") as file:
    file.write(repr(w.tolist()))
