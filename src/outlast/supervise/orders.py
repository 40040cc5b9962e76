"""From a command to a job: the script that says it, with what it takes so that nothing is lost, and its submission."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from outlast.backends import Posix
from outlast.clock import SYSTEM, from_iso
from outlast.errors import BusyError, NothingError, OutlastError, UsageError
from outlast.jobscript import SLURM, directives, parse
from outlast.policy.deadline import LEAD_S, lead_s
from outlast.store import AttemptLog, Store
from outlast.supervise.batch import BatchSystem, Order, Refused, Unreachable
from outlast.supervise.batch.options import Options
from outlast.units import format_duration, parse_duration

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_INTERPRETERS = re.compile(r"(python|Rscript|julia|octave|bash|sh|srun|mpirun|mpiexec|conda|apptainer|env)[\d.]*")
_SOURCE = re.compile(r"[^-].*\.(py|R|r|m|jl|sh|pl|lua)")
_JOBS = "jobs"
_RECENT = 10
_LIMIT_CHARS = 4 << 20
_TWICE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person wants run. Times as they were written; `script` instead of a command; `passed` to `outlast run`."""

    command: Sequence[str]
    script: str | None
    options: Sequence[str]
    store: str
    total: str | None = None
    max_time: str | None = None
    max_attempts: int | None = None
    tries: int | None = None
    passed: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A job that can be submitted.

    Attributes:
        text: its script.
        path: where the script is to lie.
        original: the path and the text of the user's own script that it runs, if there is one.
        is_done: the run is done: there is nothing to submit.
    """

    text: str
    path: str
    store: str
    original: tuple[str, str] | None = None
    is_done: bool = False
    warnings: Sequence[str] = ()


def order(wish: Wish, system: BatchSystem) -> Made:
    """Make the script of a job.

    Raises:
        UsageError: what is asked for cannot be.
        BusyError: an attempt of the run is under way.
    """
    source = _read(wish.script) if wish.script is not None else ""
    given = [*_said(source, system), *wish.options]
    name = Options(given).value("job-name", "J") or _name(wish.command or [wish.script or ""])
    store = os.path.abspath(wish.store or f"outlast-{_UNSAFE.sub('-', name)}")
    logs, is_done = _known(store)
    stamp = datetime.fromtimestamp(SYSTEM.wall(), UTC).strftime("%Y%m%dT%H%M%S")
    path = os.path.join(store, _JOBS, f"{_UNSAFE.sub('-', name)}-{stamp}-{os.getpid()}.sh")
    original = f"{path.removesuffix('.sh')}-original.sh"
    lead, why = _lead(logs)
    notes = [
        "Made by `outlast submit`. It may be submitted again by hand: the run goes on from what is saved.",
        f"Notice comes {format_duration(lead)} before the end, or a little earlier: {why}.",
    ]
    if wish.script is not None:
        notes.append(f"It runs a copy of {os.path.abspath(wish.script)}.")
    text = system.script(
        Order(
            command=[
                *(
                    *_outlast(),
                    "run",
                    "--store",
                    store,
                    *_bounds(wish),
                    *_grace(system, lead),
                    *wish.passed,
                    "--script",
                    path,
                    "--",
                ),
                *(wish.command or [*_interpreter(source), original]),
            ],
            options=given,
            name=name,
            store=store,
            lead_s=lead,
            notes=notes,
        )
    )
    copy = (original, source) if wish.script is not None else None
    return Made(text=text, path=path, store=store, original=copy, is_done=is_done)


def place(made: Made, system: BatchSystem) -> tuple[str, str]:
    """Write the script and submit it; return the job's id and the script's path.

    Raises:
        UsageError: the batch system does not take it.
        OutlastError: it cannot be reached, or the script cannot be written.
    """
    backend = Posix(made.store)
    backend.make_root()
    backend.guard()
    if not any(entry.name == _JOBS for entry in backend.list("")):
        backend.make_dir(_JOBS)
    for path, text in ((made.path, made.text), *([made.original] if made.original else ())):
        backend.create(f"{_JOBS}/{os.path.basename(path)}", [text.encode("utf-8", "surrogateescape")], mode=0o700)
    backend.sync(_JOBS)
    try:
        return system.submit(made.path), made.path
    except Refused as e:
        raise UsageError(f"{system.name} does not take the job: {e}", hint=f"its script is {made.path}") from None
    except Unreachable as e:
        hint = f"look whether a job is in the queue before you try again; its script is {made.path}"
        raise OutlastError(f"{system.name} cannot be reached: {e}", hint=hint) from None


def _read(path: str) -> str:
    """Read a job script. Raises UsageError if there is none that can be run so."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            text = file.read(_LIMIT_CHARS)
    except OSError as e:
        raise UsageError(f"{path} cannot be read: {e.strerror}") from None
    if not text.startswith("#!"):
        raise UsageError(f"{path} is no script: its first line has no #!", hint="it should begin with #!/bin/bash")
    if len(text) == _LIMIT_CHARS:
        raise UsageError(f"{path} is longer than any job script: {_LIMIT_CHARS} characters and more")
    if parse(text).runs_outlast():
        hint = "submit it by itself; what it may lack is told, and added, by: outlast lint --fix"
        raise UsageError(f"{path} calls outlast already", hint=hint)
    return text


def _said(script: str, system: BatchSystem) -> list[str]:
    """Return the options that a job script gives itself."""
    found = directives(script)
    foreign = sorted({one.system for one in found} - {system.name})
    if foreign:
        raise UsageError(f"the script is for {', '.join(foreign)}, and this is {system.name}")
    if found and system.name != SLURM:
        raise UsageError(f"only scripts for Slurm are understood so far, and this is {system.name}")
    return [f"--{one.name}" if one.value is None else f"--{one.name}={one.value}" for one in found]


def _interpreter(script: str) -> list[str]:
    """Return what a script is run by, from its first line."""
    return script.split("\n", 1)[0].removeprefix("#!").split(None, 1) or ["/bin/sh"]


def _bounds(wish: Wish) -> list[str]:
    """Return the options of `outlast run` that bound the run."""
    max_time_s = parse_duration(wish.max_time) if wish.max_time else None
    if max_time_s is None and wish.total:
        max_time_s = _TWICE * parse_duration(wish.total)
    options = []
    if max_time_s is not None:
        options += ["--max-time", f"{max_time_s:g}s"]
    if wish.total:
        options += ["--total", wish.total]
    if wish.max_attempts is not None:
        options += ["--max-attempts", str(wish.max_attempts)]
    if wish.tries is not None:
        options += ["--tries", str(wish.tries)]
    return options


def _grace(system: BatchSystem, lead: float) -> list[str]:
    """Return what has `outlast run` watch the clock as early as a signal would come, where none can be had."""
    return [] if system.warns else ["--grace", f"{math.ceil(lead)}s"]


def _name(command: Sequence[str]) -> str:
    """Name a job after the program: the script that is run, or what stands behind interpreters and launchers."""
    for word in sorted(command, key=lambda word: not _SOURCE.fullmatch(word)):
        base = os.path.basename(word)
        if not word.startswith("-") and "=" not in word and not _INTERPRETERS.fullmatch(base) and base:
            return " ".join((os.path.splitext(base)[0] or base).split()) or "job"  # a name is one line
    return os.path.basename(command[0]) if command else "job"


def _outlast() -> list[str]:
    """Return how to call ourselves from anywhere, whatever PATH is there."""
    beside = os.path.join(os.path.dirname(sys.executable), "outlast")
    return [beside] if os.access(beside, os.X_OK) else [sys.executable, "-P", "-m", "outlast"]


def _known(store: str) -> tuple[Sequence[AttemptLog], bool]:
    """Return what is known of earlier attempts, and whether the run is done."""
    try:
        opened = Store(store)
        live = opened.live()
        logs, is_done = opened.attempts(), opened.finished() is not None
    except NothingError:
        return (), False
    if live is not None:
        where = f"process {live.pid} on {live.host}{f' ({live.job})' if live.job else ''}"
        hint = "it goes on by itself; to end it: outlast stop"
        raise BusyError(f"{store} is in use by {where}: nothing was submitted", hint=hint)
    return logs, is_done and os.environ.get("OUTLAST_REOPEN") != "1"


def _lead(logs: Sequence[AttemptLog]) -> tuple[float, str]:
    """Return how long before the end to give notice, and why."""
    saves = sorted(seconds for log in logs[-_RECENT:] for seconds in log.save_seconds())
    if not saves:
        return LEAD_S, "no save was measured yet"
    save_s, step_s = saves[min(len(saves) - 1, int(0.95 * len(saves)))], _step_s(logs[-_RECENT:])
    said = f"saves take up to {format_duration(save_s)}, steps about {format_duration(step_s)}"
    return lead_s(save_s, step_s), said


def _step_s(logs: Sequence[AttemptLog]) -> float:
    """Return how long a step takes, from one save to the next, by the slowest attempt."""
    slowest_s = 0.0
    for log in logs:
        saved = [event for event in log.events if event["event"] == "saved"]
        if len(saved) > 1 and saved[-1]["step"] > saved[0]["step"]:
            first, last = from_iso(saved[0]["at"]), from_iso(saved[-1]["at"])
            if first is not None and last is not None:
                slowest_s = max(slowest_s, (last - first) / (saved[-1]["step"] - saved[0]["step"]))
    return slowest_s
