"""A computation for the scenarios, in plain Python; its store is that of OUTLAST_STORE.

Beside the store it leaves STORE.steps, a line for each step as it is done (step, attempt, node), and in the end
STORE.result, the whole state to the last bit. Where STORE.fast is, its steps take no time.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import time

import outlast

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=600)
parser.add_argument("--pause", type=float, default=0.1, metavar="S", help="how long a step takes")
parser.add_argument("--every", type=int, default=10, metavar="STEPS", help="how often to save")
parser.add_argument("--crash-at", type=int, metavar="STEP", help="crash there, however often it is started")
parser.add_argument(
    "--deaf-at", type=int, metavar="STEP", help="in the first attempt spend so long in this step that it is killed"
)
parser.add_argument("--rank", action="store_true", help="be one of several: the store is that of this rank")
parser.add_argument("word", nargs="*", help="repeated on standard output")
args = parser.parse_args()
store = os.environ["OUTLAST_STORE"]
if args.rank:
    store = f"{store}-{os.environ['SLURM_PROCID']}"
print(*map(ascii, args.word), flush=True)

state = {"random": random.Random(7), "x": 0.0, "sum": 1, "seen": []}

WORKER = """
import os, signal, sys, time
for number in (signal.SIGUSR1, signal.SIGTERM):
    signal.signal(number, lambda *_: open(sys.argv[1], "w").close())
open(sys.argv[2], "w").close()
while os.getppid() != 1 and os.path.exists(sys.argv[2]):
    time.sleep(0.05)
"""


def start_worker() -> None:
    """Have a child that would leave STORE.heard if it heard a notice."""
    ready = f"{store}.worker{run.attempt}"
    with run.shield():
        subprocess.Popen([sys.executable, "-c", WORKER, f"{store}.heard", ready])
    while not os.path.exists(ready):
        time.sleep(0.01)


def work(step: int, attempt: int) -> None:
    state["x"] = 0.9 * state["x"] + state["random"].gauss(0.0, 1.0)
    state["sum"] = (state["sum"] * 6364136223846793005 + step) % (1 << 61)
    state["seen"].append(step)
    if step == args.crash_at:
        raise ValueError("as asked")
    with open(f"{store}.steps", "a") as file:
        file.write(f"{step} {attempt} {socket.gethostname()}\n")
    if step == args.deaf_at and attempt == 1:
        time.sleep(600)
    if not os.path.exists(f"{store}.fast"):
        time.sleep(args.pause)


with outlast.Run(store, state, every=args.every) as run:
    if args.rank:
        start_worker()
    for step in run.steps(args.steps):
        work(step, run.attempt)
with open(f"{store}.result", "w") as file:
    state = {**state, "random": repr(state["random"].getstate()), "x": state["x"].hex()}
    json.dump({"state": state, "steps": run.step}, file)
