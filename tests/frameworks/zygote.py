"""A process that has imported the frameworks, and forks for each attempt: importing takes longer than the trainings.

It reads a request a line: a program, its environment, a store, and the fault; and writes how the attempt ended. Those
with the same environment share a process that has made their own imports too.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import runpy
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any

Request = dict[str, Any]


def serve(requests: Any, replies: Any, answer: Callable[[Request], dict[str, Any]]) -> None:
    for line in requests:
        replies.write(json.dumps(answer(json.loads(line))) + "\n")
        replies.flush()


class Children:
    """The processes for the environments that have been asked for."""

    def __init__(self) -> None:
        self._pipes: dict[str, tuple[Any, Any]] = {}

    def answer(self, request: Request) -> dict[str, Any]:
        name = json.dumps([request["environment"], request["imports"]], sort_keys=True)
        if name not in self._pipes:
            self._pipes[name] = self._fork(request)
        ask, hear = self._pipes[name]
        ask.write(json.dumps(request) + "\n")
        ask.flush()
        return json.loads(hear.readline() or '{"status": "the process for this environment is gone"}')

    def _fork(self, request: Request) -> tuple[Any, Any]:
        here, there = os.pipe()
        back, forth = os.pipe()
        if os.fork() == 0:
            os.close(there)
            os.close(back)
            for ask, hear in self._pipes.values():
                os.close(ask.fileno())
                os.close(hear.fileno())
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.environ.update(request["environment"])
            load(request["imports"])
            serve(os.fdopen(here), os.fdopen(forth, "w"), attempt)
            os._exit(0)
        os.close(here)
        os.close(forth)
        return os.fdopen(there, "w"), os.fdopen(back)


def load(names: list[str]) -> None:
    for name in names:
        importlib.import_module(name)
    from outlast.capture.snapshots import KINDS

    KINDS.refresh()


def attempt(request: Request) -> dict[str, Any]:
    pid = os.fork()
    if pid == 0:
        os._exit(run(request))
    _, status = os.waitpid(pid, 0)
    return {"status": os.waitstatus_to_exitcode(status)}


def run(request: Request) -> int:
    """Run the program as a process of its own would, and return its status."""
    said = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(said, number)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    os.environ["OUTLAST_STORE"] = request["store"]
    os.chdir(os.path.dirname(request["store"]))
    warnings.simplefilter("ignore")
    random.seed(1)  # a fork seeds it from entropy, as a process of its own would: no program could come out the same
    strike(request["at"], request["signal"], request["every"])
    status = 0
    try:
        runpy.run_path(request["program"], run_name="__main__")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1 if end.code else 0
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def strike(at: int | None, number: int, every: int) -> None:
    """Save often: some saves are under way when the fault comes. At the boundary `at` send this process the signal."""
    from outlast.run import run as runs
    from outlast.run.position import Loop
    from outlast.run.schedule import Schedule

    advance, passed = Loop.advance, 0

    def struck(self: Loop, passes: int = 1) -> None:
        nonlocal passed
        passed += 1
        if passed == at:
            os.kill(os.getpid(), number)
        advance(self, passes)

    Loop.advance = struck
    due = runs.Run.due

    def asked(self: Any) -> bool:  # the boundary of a loop that is the program's own
        nonlocal passed
        passed += 1
        if passed == at:
            os.kill(os.getpid(), number)
        return due(self)

    runs.Run.due = asked
    runs.Schedule = lambda _every, **more: Schedule(every, **more)
    orbax = sys.modules.get("outlast.integrations.orbax")
    if orbax:  # its loop is the program's own
        decide = orbax.Interval.should_save

        def decided(self: Any, step: Any, *arguments: Any, **named: Any) -> bool:
            nonlocal passed
            passed += 1
            if passed == at:
                os.kill(os.getpid(), number)
            return decide(self, step, *arguments, **named)

        orbax.Interval.should_save = decided
        orbax.Schedule = lambda _every, **more: Schedule(every, **more)


if __name__ == "__main__":
    load(sys.argv[1:])
    serve(sys.stdin, sys.stdout, Children().answer)
