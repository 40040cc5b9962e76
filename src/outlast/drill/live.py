"""A job of a drilled run while it runs: what it shows of itself, and what can be done to it."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Mapping
from subprocess import DEVNULL, Popen
from typing import Any

from outlast.clock import SYSTEM
from outlast.drill.place import Place
from outlast.drill.watch import Watch
from outlast.supervise import end_tree, processes, start, tree

_PROGRAM, _PROGRESS, _SAVE = "program.json", "progress.json", "save"
_READ_BYTES = 1 << 16
_STEP = re.compile(rb'"e": "step",.*?"step": (-?[0-9]+)')
_SECOND = ".second"


class Signs:
    """What a run shows from outside, over all its jobs: commits, steps, changes of its files.

    Attributes:
        control: the control folder of the program that takes part; empty until one does.
        commits: when (by the monotonic clock), and which step.
        changes: how often files in the working folder changed.
        first_s: when the first sign of work was seen.
        begun_s: when the last attempt showed its first sign.
        step: the last one that the recorder told of.
        steps: how many it told of.
    """

    def __init__(self, place: Place) -> None:
        self._place, self._watch = place, Watch()
        self.control = ""
        self.commits: list[tuple[float, int]] = []
        self.changes = 0
        self.first_s: float | None = None
        self.begun_s = 0.0
        self.step: int | None = None
        self.steps = 0
        self.takes_part = False
        self._trace_at = 0
        self.watch_again()

    @property
    def descriptor(self) -> int:
        return self._watch.descriptor

    def watch_again(self) -> None:
        """Watch all folders, also those that were made anew."""
        for folder in (os.path.join(self._place.local, "runtime"), self._place.work, self._place.drill):
            self._watch.add(folder)

    def look(self) -> None:
        """Take in what has changed since the last time."""
        work, has_grown = self._place.work + "/", False
        for path in self._watch.changes():
            name = os.path.basename(path)
            if path.startswith(work):
                self.changes += 1
            elif name == _PROGRAM:
                self.takes_part, self.control = True, os.path.dirname(path)
                self._seen()
                self.begun_s = SYSTEM.monotonic()
            elif name == _PROGRESS:
                self.control = os.path.dirname(path)
                self._committed(path)
            elif path == self._place.trace:
                has_grown = True
        if has_grown:
            self._look_for_steps()

    def close(self) -> None:
        self._watch.close()

    def _committed(self, path: str) -> None:
        try:
            with open(path, "rb") as file:
                step = json.loads(file.read(_READ_BYTES)).get("step")
        except (OSError, ValueError, AttributeError):
            return
        if isinstance(step, int) and (not self.commits or self.commits[-1][1] != step):
            self.commits.append((SYSTEM.monotonic(), step))
            self._seen()

    def _look_for_steps(self) -> None:
        """Note which step the recorder has told of last."""
        try:
            with open(self._place.trace, "rb") as file:
                file.seek(self._trace_at)
                data = file.read()
        except OSError:
            return
        whole = data.rfind(b"\n") + 1
        self._trace_at += whole
        found = _STEP.findall(data[:whole])
        self.steps += len(found)
        if found:
            self.step = int(found[-1])
            self._seen()

    def _seen(self) -> None:
        if self.first_s is None:
            self.first_s = SYSTEM.monotonic()


class Live:
    """One job: a supervisor and all below it.

    Attributes:
        began_s, attempt_s: when the job and its present attempt began, by the monotonic clock.
        ended_s: when its last attempt ended, by the supervisor's word.
        told_s: when the supervisor told the program to leave; infinite if it did not.
        told_steps: how many steps were done by then.
        attempts: how many there were in this job.
    """

    def __init__(
        self,
        place: Place,
        env: Mapping[str, str],
        signs: Signs,
        *,
        kill: str,
        bound: float = 0.0,
        tries: int,
        holder: int = 0,
    ) -> None:
        self.place, self.signs, self._env = place, signs, env
        self.began_s = self.attempt_s = SYSTEM.monotonic()
        self.ended_s = self.told_s = math.inf
        self.attempts = self.told_steps = 0
        self._process = _start(place, place.environment(env, kill=kill), bound=bound, tries=tries, holder=holder)

    @property
    def process(self) -> Popen[bytes]:
        return self._process

    @property
    def step(self) -> int | None:
        """The last step that was reported as saved."""
        return self.signs.commits[-1][1] if self.signs.commits else None

    @property
    def commits(self) -> int:
        """How many commits were reported since the present attempt began."""
        return sum(at_s >= self.attempt_s for at_s, _ in self.signs.commits)

    def below(self) -> set[int]:
        """Return the pids of all processes of the attempt."""
        now = processes.table()
        return {pid for pid in processes.below(now, {self._process.pid}) if now[pid].alive}

    def kill(self) -> bool:
        """Kill every process of the attempt; the supervisor starts the next. Returns whether there was any."""
        return tree.kill(self.below())

    def signal(self, number: int, *, everybody: bool) -> None:
        """Signal the supervisor, which is the job's main process, or every process at once."""
        for pid in [*(self.below() if everybody else ()), self._process.pid]:
            tree.send(pid, number)

    def was_told(self, at_s: float) -> None:
        """Note that the supervisor has told the program to leave: what is seen by now was done before."""
        if self.told_s == math.inf:
            self.signs.look()
            self.told_s, self.told_steps = at_s, self.signs.steps

    def end(self) -> tuple[int, ...]:
        """Take the whole job away at once, as the loss of a node does. Returns what cannot be killed."""
        if self._process.poll() is not None:
            return ()
        left = end_tree(self._process.pid, term_s=0)
        self._process.wait()
        return left

    def ask_for_save(self) -> bool:
        """Ask the program to save, if it takes part. Returns whether it was asked."""
        if not self.signs.control:
            return False
        try:
            with open(os.path.join(self.signs.control, _SAVE), "x", encoding="utf-8"):
                return True
        except OSError:
            return False

    def start_second(self) -> Popen[bytes]:
        """Start a second copy of the job beside this one."""
        os.mkfifo(events(self.place, _SECOND), 0o600)
        return _start(self.place, self.place.environment(self._env, copy=_SECOND), bound=0.0, tries=1, second=_SECOND)


def _start(
    place: Place, env: dict[str, str], *, bound: float, tries: int, holder: int = 0, second: str = ""
) -> Popen[bytes]:
    module = "outlast.drill.supervised"
    numbers = map(str, (bound, tries, holder))
    command = [sys.executable, "-P", "-m", module, events(place, second), *numbers, "--", *place.command]
    with open(place.stdout + second, "ab") as out, open(place.stderr + second, "ab") as err:
        return start(command, env, stdin=DEVNULL, stdout=out, stderr=err, cwd=place.work)


def events(place: Place, second: str = "") -> str:
    """Return the path of the pipe that a supervisor tells its events to."""
    return os.path.join(place.drill, f"events{second}")


def parse(line: bytes) -> dict[str, Any]:
    """Return an event."""
    found: dict[str, Any] = json.loads(line)
    return found
