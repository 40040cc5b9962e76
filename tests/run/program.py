"""A user's program for the tests: `program.py STORE OUT [options]`. It appends each step it does to OUT.steps."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time

import numpy as np
from holding import hold

import outlast

parser = argparse.ArgumentParser()
parser.add_argument("store")
parser.add_argument("out")
parser.add_argument("--steps", type=int, default=60)
parser.add_argument("--every", default="5")
parser.add_argument("--pause", type=float, default=0.0, help="seconds a step takes")
parser.add_argument("--hold", default="", help="a file of the test's: see holding.py")
parser.add_argument("--deadline-in", type=float, help="seconds from the making of the run")
parser.add_argument("--nested", action="store_true")
parser.add_argument("--explicit", action="store_true")
parser.add_argument("--break-at", type=int)
parser.add_argument("--raise-at", type=int)
parser.add_argument("--big", type=int, default=1000)
parser.add_argument("--on-error", default="stop")
parser.add_argument("--keep", type=int, default=3)
args = parser.parse_args()
every = int(args.every) if args.every.isdigit() else args.every

rng = np.random.default_rng(7)
state = {"u": np.zeros(args.big), "t": 0.0, "seen": [], "rng": rng}


def work(step):
    state["u"] += state["rng"].standard_normal(args.big)
    state["t"] += 0.5
    state["seen"].append(step)
    with open(args.out + ".steps", "a") as file:
        file.write(f"{step}\n")
    if args.pause:
        time.sleep(args.pause)
    hold(args.hold, len(state["seen"]))
    if args.raise_at == step:
        raise ValueError("as asked")


if args.deadline_in is not None:
    os.environ["OUTLAST_DEADLINE"] = str(time.time() + args.deadline_in)
with outlast.Run(args.store, state, every=every, keep=args.keep, on_error=args.on_error) as run:
    print("attempt", run.attempt, flush=True)
    if args.explicit:
        while len(state["seen"]) < args.steps:
            work(len(state["seen"]))
            if run.due():
                run.save()
    elif args.nested:
        for epoch in run.range(args.steps // 10, "epoch"):
            order = np.random.default_rng([1, epoch]).permutation(10)
            for i in run.iterate(order, "batch"):
                work(epoch * 10 + int(i))
                run.log(loss=1 / (1 + run.step))
    else:
        for step in run.steps(args.steps):
            work(step)
            run.log(loss=1 / (1 + step))
            if args.break_at == step:
                break
digest = hashlib.sha256(state["u"].tobytes() + repr((state["t"], state["seen"])).encode()).hexdigest()
with open(args.out, "w") as file:
    file.write(digest)
sys.exit(int(os.environ.get("PROGRAM_STATUS", "0")))
