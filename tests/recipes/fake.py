"""An application with restart files of its own, for tests. It can be asked by a signal, a file, or a time limit.

usage: fakesim NAME STEPS [--restart] [--maxs SECONDS] [--every N] [--slow S] [--die-in-write N] [--leave-stop] ...

State: NAME.state and NAME.more, two files of the same step. Output: NAME.log, a row a step. Finished: NAME.result.
"""

import argparse
import json
import os
import signal
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("name")
parser.add_argument("steps", type=int)
parser.add_argument("--restart", action="store_true")
parser.add_argument("--maxs", type=float, default=1e9)
parser.add_argument("--every", type=int, default=0)
parser.add_argument("--slow", type=float, default=0)
parser.add_argument("--die-in-write", action="store_true")
parser.add_argument("--leave-stop", action="store_true")
parser.add_argument("--no-result", action="store_true")
parser.add_argument("--hears-signal", action="store_true")
parser.add_argument("--in-place", action="store_true")
args = parser.parse_args()
asked = []
if args.hears_signal:
    signal.signal(signal.SIGTERM, lambda *_: asked.append(1))


def write(path, text, *, half=False):
    if not args.in_place:
        path, to = path + ".draft", path
    with open(path, "w") as file:
        file.write(text[: len(text) // 2])
        file.flush()
        time.sleep(args.slow)
        if half:
            os.kill(os.getpid(), signal.SIGKILL)
        file.write(text[len(text) // 2 :])
    if not args.in_place:
        os.rename(path, to)


def save():
    text = f"{json.dumps(state)}\nEND\n"
    write(f"{args.name}.state", text)
    write(f"{args.name}.more", text, half=args.die_in_write and os.path.exists("die"))


state = {"step": 0, "x": 1}
if args.restart:
    with open(f"{args.name}.state") as one, open(f"{args.name}.more") as two:
        state, more = json.loads(one.readline()), json.loads(two.readline())
    if state != more:
        sys.exit("torn")
begin = time.monotonic()
log = open(f"{args.name}.log", "a" if args.restart else "w")  # noqa: SIM115
stop = f"{args.name}.EXIT"
print(f"begins at {state['step']}", flush=True)
while state["step"] < args.steps:
    state["step"] += 1
    state["x"] = (state["x"] * 31 + state["step"]) % 1_000_003
    log.write(f"{state['step']} {state['x']}\n")
    log.flush()
    if not os.path.exists("fast"):
        time.sleep(0.004)
    if args.every and state["step"] % args.every == 0:
        save()
    if asked or os.path.exists(stop) or time.monotonic() - begin > args.maxs:
        save()
        if not args.leave_stop and os.path.exists(stop):
            os.unlink(stop)
        print("stopped", flush=True)
        sys.exit(0)
save()
if not args.no_result:
    write(f"{args.name}.result", f"{state['x']}\n")
print("ALL DONE", flush=True)
