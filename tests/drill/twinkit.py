"""Wounds a small program once, traced, until it is done: what the drill does, for one fault and without a supervisor.

The head of each `twins/NAME/bad.py` says which fault shows it, and the cause that is to be named:

    drill: WOUND [FAULT]      a fault of the recorder (`step:8`, `save:3`, `op:5`), or the step in which a notice comes
    cause: CAUSE

What the recorder does not do comes while the program is held: `hold-5` in its folder is a named pipe, which it reads to
its end in its step 5. So nothing depends on how fast it goes, or on when we look.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from drill import nursery
from outlast.drill.diagnosis import Ended, Finding, Outcome, Wound, diagnose
from outlast.drill.trace import Trace, environment, printed, read

TWINS = Path(__file__).with_name("twins")
_MOST_ATTEMPTS = 6
Process = subprocess.Popen | nursery.Attempt
_LONGEST_S = 200
_MORE_STEPS = 5  # so many after a notice, and the grace is over
_LARGEST_BYTES = 4096  # of a file, where the disk is said to be full: logs still go in
_COMPARED = ("result*", "out_*", "*.csv")
_COMMANDS = {".py": sys.executable, ".sh": "sh", ".R": "Rscript", ".m": "octave-cli"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """A program, what is done to it, and what is to be found."""

    script: Path
    wound: Wound
    fault: str
    cause: str

    @property
    def name(self) -> str:
        return f"{self.script.parent.name}/{self.script.stem}"


def twins(kind: str) -> list[Twin]:
    """Return all `bad` or all `good` ones; a good one has its twin's fault, if it names none of its own."""
    found = []
    for folder in sorted(TWINS.iterdir()):
        bad, script = (next(iter(folder.glob(f"{name}.*"))) for name in ("bad", kind))
        heads = [path.read_text() for path in (script, bad)]
        drill = next(match for head in heads if (match := re.search(r"^\W*drill: (\S+) ?(\S*)$", head, re.MULTILINE)))
        cause = re.search(r"^\W*cause: (\S+)$", heads[1], re.MULTILINE)
        found.append(Twin(script=script, wound=drill[1], fault=drill[2], cause=cause[1] if kind == "bad" else ""))
    return found


class Drill:
    """Runs a twin undisturbed and wounded, below a folder."""

    def __init__(self, twin: Twin, folder: Path) -> None:
        self.twin, self._folder = twin, folder
        self.said: list[str] = []

    def finding(self) -> Finding | None:
        reference, _, whole = self._run("undisturbed")
        assert whole, f"it does not come to its end undisturbed: {self.said}"
        trace, attempts, done = self._run("wounded", wounded=True)
        differing = self._differing()
        script = self.twin.script
        self.outcome = Outcome(
            wound=self.twin.wound,
            attempts=attempts,
            trace=trace,
            differing=differing,
            done=done,
            script="" if self._is_traced else script.read_text(),
            language=script.suffix[1:].lower(),
        )
        assert any(end.wounded for end in attempts), f"the fault did not strike: {self.said}"
        return diagnose(reference, self.outcome)

    def _run(self, name: str, *, wounded: bool = False) -> tuple[Trace, tuple[Ended, ...], bool]:
        place = self._folder / name
        place.mkdir()
        shutil.copy(self.twin.script, place)
        ends: list[Ended] = []
        while len(ends) < _MOST_ATTEMPTS:
            ends.append(self._attempt(place, len(ends), wounded=wounded))
            if self._is_over(ends, wounded=wounded):
                break
        trace = read(place.with_suffix(".jsonl")) if self._is_traced else printed([end.said for end in ends])
        return trace, tuple(ends), ends[-1].status == 0

    @property
    def _is_traced(self) -> bool:
        return self.twin.script.suffix == ".py"

    def _is_over(self, ends: list[Ended], *, wounded: bool) -> bool:
        if wounded and self.twin.wound == "after-done":
            return len(ends) > 1
        fails_again = len(ends) > 2 and ends[-1].status == ends[-2].status != 85
        return ends[-1].status == 0 or fails_again

    def _attempt(self, place: Path, number: int, *, wounded: bool) -> Ended:
        is_struck = wounded and number == 0
        in_program = (
            is_struck and self.twin.wound in ("kill", "kill-in-save", "damage") and self.twin.script.suffix == ".py"
        )
        kill = self.twin.fault if in_program else ""
        trace = place.with_suffix(".jsonl")
        env = environment(trace, os.environ, attempt=f"{number}", kill=kill) | {
            "OUTLAST_EVENTS": "quiet",
            "OMP_NUM_THREADS": "1",
        }
        command = [_COMMANDS[self.twin.script.suffix], self.twin.script.name]
        steps = self._held_steps() if is_struck and not in_program else []
        for step in steps:
            os.mkfifo(place / f"hold-{step}")
        process = self._start(place, command, env)
        try:
            if steps:
                self._strike(process, place, steps, command, env)
            status = process.wait(_LONGEST_S)
        finally:
            process.kill()
        said = (place.parent / f"{place.name}.out").read_text()[-2000:]
        self.said.append(said)
        was_hit = is_struck and (status != 0 or self.twin.wound in ("after-done", "second-copy", "full-disk"))
        if is_struck and self.twin.wound == "damage":
            _damage(place)
        return Ended(status=status if status >= 0 else 128 - status, said=said, wounded=was_hit)

    def _start(self, place: Path, command: list[str], env: dict[str, str]) -> Process:
        out = place.parent / f"{place.name}.out"
        if "import torch" in self.twin.script.read_text():
            return nursery.start(self.twin.script.name, place, env, out)
        with out.open("wb") as file:
            return subprocess.Popen(command, cwd=place, env=env, stdout=file, stderr=file, start_new_session=True)

    def _held_steps(self) -> list[int]:
        """The steps in which it is held, in their order."""
        if self.twin.wound == "after-done":
            return []
        at = int(self.twin.fault.partition(":")[2])
        return [at, at + _MORE_STEPS] if self.twin.wound == "notice" else [at]

    def _strike(self, process: Process, place: Path, steps: list[int], command: list[str], env: dict[str, str]) -> None:
        at, *later = steps
        with held(process, place, at) as is_held:
            assert is_held, f"it ended before step {at}"
            if self.twin.wound == "kill":
                os.killpg(process.pid, signal.SIGKILL)
            elif self.twin.wound == "second-copy":
                other = {**env, "OUTLAST_TRACE": f"{env['OUTLAST_TRACE']}.copy"}
                self.said.append(
                    subprocess.run(command, cwd=place, env=other, capture_output=True, text=True, check=False).stderr
                )
            elif self.twin.wound == "full-disk":
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (_LARGEST_BYTES, _LARGEST_BYTES))
            elif self.twin.wound == "notice-group":
                os.killpg(process.pid, signal.SIGTERM)
            else:
                process.terminate()
        for step in later:
            with held(process, place, step):
                process.kill()

    def _differing(self) -> tuple[str, ...]:
        whole, wounded = self._folder / "undisturbed", self._folder / "wounded"
        names = {path.name for place in (whole, wounded) for pattern in _COMPARED for path in place.glob(pattern)}
        return tuple(sorted(name for name in names if _content(whole / name) != _content(wounded / name)))


@contextmanager
def held(process: Process, place: Path, step: int) -> Iterator[bool]:
    """Wait until a program has come to where it is held in a step; at the end of this it goes on.

    Args:
        process: when it ends, there is nothing to wait for.
        place: the program's folder, with a pipe for this step.
        step: which.

    Yields:
        Whether it is held: it has not come to its end before.
    """
    pipe, ends = place / f"hold-{step}", []

    def is_read() -> bool:
        with suppress(OSError):  # ENXIO: nobody reads it
            ends.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        return bool(ends)

    _wait(lambda: is_read() or process.poll() is not None)
    pipe.unlink()  # the next attempt is not held, nor is a second copy
    try:
        yield bool(ends)
    finally:
        for end in ends:
            os.close(end)


def _wait(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + _LONGEST_S
    while not condition():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.005)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _damage(place: Path) -> None:
    """Cut the newest checkpoint in half."""
    parts = [path for pattern in ("**/part-*", "*.pkl") for path in place.glob(pattern)]
    newest = max(parts, key=lambda path: path.stat().st_mtime_ns)
    os.truncate(newest, newest.stat().st_size // 2)
