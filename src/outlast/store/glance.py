"""A look at a run from outside, where there are many: a few small reads of its files, no lock, nothing verified whole.

What it tells may be behind, or wrong where files were damaged; `Store` is for looking closely.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from outlast.backends import Posix, Reader, host
from outlast.clock import LATEST_S, Clock, from_iso
from outlast.errors import DamageError, OutlastError, StorageError, VersionError
from outlast.format.jobs import JobLog, JobName
from outlast.format.names import CheckpointName
from outlast.store import catalog, lease
from outlast.store import journal as journals
from outlast.store.history import History, history
from outlast.store.jobs import read_job
from outlast.store.journal import AttemptLog
from outlast.store.layout import JOBS, JOURNAL, MANIFEST, STORE, attempt_of, job_of, journal_path
from outlast.store.progress import Progress, progress

_HEAD_BYTES = 8 << 10
_TAIL_BYTES = 16 << 10
_FARTHEST_BYTES = 4 << 20
_LATE_S = 60.0  # after its deadline a job may still be there for as long
_POSITION = re.compile(rb',\s*"position":')
_METRICS = re.compile(rb',\s*"metrics":')
_SAID = (b'"event":"saved"', b'"event":"restored"', b'"event":"started"')
_KNOWN = {"saved", "restored", "started"}
_FIRST = 8  # lines, among which are the claim and what the attempt began with
_MARK_WITHIN = 120  # of a line: `seq`, `at` and `event` come first


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What a look showed.

    Attributes:
        path: the run's directory.
        history: its attempts; of the saves of each only the last one.
        progress: how far it is; None if nothing was saved.
        done: it is.
        problem: why it could not be looked at; empty if it could.
    """

    path: str
    history: History
    progress: Progress | None
    done: bool
    problem: str = ""


def is_run(backend: Posix, folder: str = "") -> bool:
    """Say whether a directory below `backend` is a run's: a store, or the place where one will be."""
    names = {entry.name for entry in backend.list(folder) if entry.kind != "other"}
    if STORE in names or any(CheckpointName.parse(name) for name in names):
        return True
    inner = f"{folder}/" if folder else ""
    has_journal = JOURNAL in names and any(attempt_of(one.name) for one in backend.list(f"{inner}{JOURNAL}"))
    return has_journal or (JOBS in names and any(job_of(one.name) for one in backend.list(f"{inner}{JOBS}")))


def is_for_jobs_alone(backend: Posix) -> bool:
    """Say whether a directory holds records or output of jobs, and no program has made a store of it yet."""
    return [entry.name for entry in backend.list("") if not entry.name.startswith(".")] == [JOBS]


def find_runs(backend: Posix, *, depth: int) -> tuple[str, ...]:
    """Return the runs below a directory, as paths relative to it; what is inside of a run is not looked at."""
    return tuple(_find(backend, "", depth))


def _find(backend: Posix, folder: str, depth: int) -> Iterator[str]:
    for entry in backend.list(folder):
        if entry.kind != "dir" or entry.name.startswith("."):
            continue
        path = f"{folder}/{entry.name}" if folder else entry.name
        with suppress(StorageError):  # somebody else's, or gone by now
            if is_run(backend, path):
                yield path
            elif depth > 1:
                yield from _find(backend, path, depth - 1)


def glance(backend: Posix, clock: Clock) -> Glance:
    """Look at the run in a directory."""
    empty = Glance(path=backend.root, history=history([]), progress=None, done=False)
    try:
        _check_version(backend)
        logs = [_ends(backend, attempt) for attempt in journals.attempts(backend)]
        records = _last_jobs(backend)
        live, last_seen = signs(backend, clock, logs)
        past = history(logs, records, live=live, alive=living(records, clock.wall()), signs=last_seen)
        where = _progress(backend, logs)
    except OutlastError as e:
        return Glance(path=empty.path, history=empty.history, progress=None, done=False, problem=str(e.args[0]))
    return Glance(path=backend.root, history=past, progress=where, done=_is_done(logs, past))


def living(records: tuple[JobLog, ...], now_s: float) -> set[JobName]:
    """Return the placings whose supervisors live, or may live on another machine: the last one at most."""
    me = host.me()
    return {log.name for log in records[-1:] if _may_live(log, me, now_s)}


def _may_live(log: JobLog, me: host.Identity, now_s: float) -> bool:
    placed = log.placed
    if placed.get("host") == me.host:
        return placed.get("boot") == me.boot and bool(host.start_of(placed.get("pid", 0)))
    deadline_s = from_iso(log.deadline)
    return deadline_s is None or now_s < deadline_s + _LATE_S  # nobody here can tell more


def _check_version(backend: Posix) -> None:
    with suppress(FileNotFoundError, DamageError):
        catalog.read_store(backend)


def signs(backend: Posix, clock: Clock, logs: Sequence[AttemptLog]) -> tuple[int, dict[int, float]]:
    """Return the attempt that lives (0: none does), and the last signs of those that did not say how they ended."""
    seen = {}
    for log in logs:
        if not log.last("ended"):
            with suppress(FileNotFoundError):
                seen[log.attempt] = min(max(0.0, backend.modified(journal_path(log.attempt))), LATEST_S)
    newest = logs[-1] if logs else None
    return (newest.attempt if newest and lease.living(backend, clock, newest) else 0), seen


def _is_done(logs: list[AttemptLog], past: History) -> bool:
    saved = next((event for log in reversed(logs) if (event := log.last("saved"))), None)
    if saved is None:
        return past.last is not None and past.last.outcome == "done"
    return bool(saved.get("done"))


def _last_jobs(backend: Posix) -> tuple[JobLog, ...]:
    """Read the records of the last two jobs: the files do not say which they are, but their claims do."""
    names = [name for entry in backend.list(JOBS) if (name := job_of(entry.name))]
    return tuple(read_job(backend, name) for name in sorted(names, key=_age)[-2:])


def _age(name: JobName) -> tuple[bool, int, str, int]:
    """Order jobs as batch systems number them, and others by when they began."""
    number = name.job.rpartition("-")[2] if not name.is_batch else name.job.partition(".")[0]
    return name.is_batch, int(number) if number.isdecimal() else 0, name.number, name.restarts


# -- the two ends of a journal -----------------------------------------------------------------------------


def _ends(backend: Posix, attempt: int) -> AttemptLog:
    """Read a journal's claim, where the attempt began, and its last save with what came after."""
    path = journal_path(attempt)
    try:
        with backend.open(path) as file:
            head = _read(file, 0, min(file.size_bytes, _HEAD_BYTES))
            if len(head) == file.size_bytes:
                return _log(attempt, path, head.split(b"\n"))
            head = head[: head.rfind(b"\n") + 1]
            return _log(attempt, path, [*head.split(b"\n"), *_tail(file, len(head)).split(b"\n")])
    except (DamageError, StorageError, FileNotFoundError):
        return AttemptLog(attempt=attempt, events=(), damaged=1)


def _tail(file: Reader, begin: int) -> bytes:
    """Return whole lines from the end of a journal: so many that the last save is among them, if it is not too far."""
    tail, length_bytes = b"", _TAIL_BYTES
    while length_bytes <= _FARTHEST_BYTES:
        at = max(begin, file.size_bytes - length_bytes)
        tail = _read(file, at, file.size_bytes - at)
        if at == begin:
            return tail
        tail = tail[tail.find(b"\n") + 1 :]
        if any(mark in tail for mark in _SAID):
            return tail
        length_bytes *= 4
    return tail


def _read(file: Reader, at: int, size_bytes: int) -> bytes:
    data = bytearray(size_bytes)
    file.read_into(memoryview(data), at)
    return bytes(data)


def _log(attempt: int, path: str, lines: list[bytes]) -> AttemptLog:
    """Make a log of the lines at both ends of a journal; between them may have been anything."""
    first = [event for text in lines[:_FIRST] if (event := _told(text, path))]
    last: list[dict[str, Any]] = []
    kinds: set[str] = set()
    for text in reversed(lines):
        is_metrics = b'"event":"metrics"' in text[:_MARK_WITHIN]
        if is_metrics if journals.METRICS in kinds else (kinds & _KNOWN and not is_metrics):
            continue  # before the last save only metrics count: they may be of later steps than it
        if event := _told(text, path):
            kinds.add(event["event"])
            last.insert(0, event)
        if kinds >= {"saved", journals.METRICS}:
            break
    seen = {event["seq"] for event in first}
    events = first + [event for event in last if event["seq"] not in seen]
    claim = next((event for event in events if event["event"] == "claim"), None)
    is_its = claim is None or claim.get("attempt") == attempt
    return AttemptLog(attempt=attempt, events=tuple(events) if is_its else (), damaged=0)


def _told(text: bytes, path: str) -> dict[str, Any] | None:
    if text:
        with suppress(DamageError, VersionError):
            event = journals.read_line(text, path)
            return event if type(event.get("seq")) is int else None
    return None


# -- the end of a manifest ---------------------------------------------------------------------------------


def _progress(backend: Posix, logs: list[AttemptLog]) -> Progress | None:
    """Say how far the run is, by its last save or what the last attempt began with."""
    for log in reversed(logs):
        event = log.last("saved") or log.last("restored")
        if event:
            name, is_done = str(event.get("checkpoint", "")), bool(event.get("done"))
            known = CheckpointName.parse(name)
            return progress(event["step"], _position(backend, name) if known else None, done=is_done)
    return None


def _position(backend: Posix, name: str) -> Any:
    """Return where the loops stood, from the end of a manifest; None if it does not stand there, or is too long."""
    try:
        with backend.open(f"{name}/{MANIFEST}") as file:
            text = _read(file, max(0, file.size_bytes - _TAIL_BYTES), min(_TAIL_BYTES, file.size_bytes))
    except (DamageError, StorageError, FileNotFoundError):
        return None
    for begin in _POSITION.finditer(text):
        for end in _METRICS.finditer(text, begin.end()):
            with suppress(ValueError, RecursionError):
                return json.loads(text[begin.end() : end.start()])
    return None
