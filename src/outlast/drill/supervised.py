"""A supervisor for the drill, in a process of its own, outside of any batch system's job.

Run as `python -m outlast.drill.supervised PIPE BOUND TRIES DISK -- COMMAND...`. It is `outlast run`, but what happens
goes to the named pipe, a JSON object a line; a crash is not waited after; and though the drill itself may run in a job,
this knows of none: it must not put that job back. DISK is the holder of the run's own disk, or 0.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from outlast.clock import SYSTEM
from outlast.drill import disk
from outlast.supervise import Rules, environment, supervise

PATHS = "OUTLAST_DRILL_PYTHONPATH"  # PYTHONPATH for the command: it brings in the recorder; ours leads to our package


class Pipe:
    """Tells what happens to whoever holds the other end."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)  # waits for nobody

    def __call__(self, event: str, text: str = "", **fields: Any) -> None:
        line = json.dumps({"event": event, "at_s": SYSTEM.monotonic(), "text": text, **fields}) + "\n"
        try:
            os.write(self._descriptor, line.encode())
        except BlockingIOError:
            return  # nobody reads: the drill is gone, and we are about to be told so by SIGTERM


def main(arguments: list[str]) -> int:
    path, bound, tries, holder = arguments[0], float(arguments[1]), int(arguments[2]), int(arguments[3])
    if holder:
        disk.enter(holder)
    env = environment()
    del env["PYTHONPATH"]
    paths = env.pop(PATHS, None)
    if paths is not None:
        env["PYTHONPATH"] = paths
    return supervise(
        arguments[5:],
        env=env,
        rules=Rules(tries=tries, first_wait_s=0.0),
        tell=Pipe(path),
        bound=bound or None,
        grace_s=None,
    )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
