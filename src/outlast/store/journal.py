"""The append-only record of an attempt: one JSON line an event, each with its own digest."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from outlast.backends import Appender, Backend, Reader
from outlast.clock import Clock, iso
from outlast.errors import DamageError, SpaceError, StorageError, VersionError
from outlast.format.envelope import seal, unseal
from outlast.format.names import CheckpointName
from outlast.store.layout import JOURNAL, LOOKS, MAX_JOURNAL_BYTES, attempt_of, is_listed, journal_path

ADOPT = "adopt"
METRICS = "metrics"
_METRICS_MARK = b'"event":"metrics"'
_MARK_WITHIN = 120
_TYPES: dict[str, type] = {
    "event": str, "at": str, "store": str, "role": str, "host": str, "job": str, "step": int, "checkpoint": str,
    "outcome": str, "reason": str, "error": str, "to": str, "text": str, "done": bool,
}  # fmt: skip
_NEEDED = {
    "claim": ("store", "attempt"),
    "saved": ("checkpoint", "step"),
    "restored": ("step",),
    "ended": ("outcome",),
}
_HEAD_BYTES = 4 << 20
_BLOCK_BYTES = 1 << 20
MAX_LINE_BYTES = 16 << 20
_HALF_WEIGHT = 48 << 20  # of the memory for a journal's events; about what one takes:
_EVENT_WEIGHT = 400
_WEIGHT_OF_A_BYTE = 3


def line(seq: int, clock: Clock, event: str, fields: dict[str, Any]) -> bytes:
    """Return one sealed journal line."""
    return seal({"seq": seq, "at": iso(clock.wall()), "event": event, **fields})


class Journal:
    """The journal of the attempt that this process is. Safe between threads.

    Args:
        appender: its file.
        clock: for the time stamps.
        seq: the number of the next line.
        backlog: lines that had no room when the file was made. While they have none, what is recorded joins them;
            only who removes begins like that, and acknowledges nothing.
    """

    def __init__(self, appender: Appender, clock: Clock, *, seq: int, backlog: bytes = b"") -> None:
        self._appender, self._clock, self._seq, self._backlog = appender, clock, seq, backlog
        self._lock = threading.Lock()
        self._torn = False

    def record(self, event: str, *, sync: bool = True, **fields: Any) -> None:
        """Append one event.

        Raises:
            StorageError: the line may or may not be there; the next one starts on a line of its own.
        """
        self._record(event, fields, sync=sync, copies=1)

    def record_twice(self, event: str, **fields: Any) -> None:
        """Append one event in two copies with an empty line between: no turned bit takes both. Raises as `record`."""
        self._record(event, fields, sync=True, copies=2)

    def _record(self, event: str, fields: dict[str, Any], *, sync: bool, copies: int) -> None:
        with self._lock:
            lines = [line(self._seq + copy, self._clock, event, fields) for copy in range(copies)]
            data = self._backlog + b"\n".join(lines)
            self._seq += len(lines)
            begin = b"\n" if self._torn else b""
            self._torn = True
            try:
                self._appender.append(begin + data, sync=sync)
            except SpaceError:
                if not self._backlog:
                    raise
                self._backlog = data
            else:
                self._torn, self._backlog = False, b""

    def touch(self) -> None:
        """Refresh the heartbeat."""
        with self._lock:
            self._appender.touch()

    def close(self) -> None:
        with self._lock:
            self._appender.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptLog:
    """What a journal says. `damaged` counts lines that are not what was written (a torn last one excepted)."""

    attempt: int
    events: tuple[dict[str, Any], ...]
    damaged: int

    def first(self, event: str) -> dict[str, Any] | None:
        """Return the first event of a kind."""
        return next((e for e in self.events if e["event"] == event), None)

    def last(self, event: str) -> dict[str, Any] | None:
        """Return the last event of a kind."""
        return next((e for e in reversed(self.events) if e["event"] == event), None)

    def is_of(self, store: str) -> bool:
        """Whether the journal belongs to this store, as far as it says."""
        claim = self.first("claim")
        return not store or claim is None or claim.get("store") == store

    def save_seconds(self) -> list[float]:
        """Return how long each save took until it was durable."""
        told = (event.get("seconds") for event in self.events if event["event"] == "saved")
        return [float(seconds) for seconds in told if isinstance(seconds, (int, float))]


def attempts(backend: Backend) -> tuple[int, ...]:
    """List the attempts that have claimed this run, oldest first, from the storage itself."""
    for _ in range(LOOKS):
        try:
            entries = backend.list(JOURNAL, missing_ok=False)
        except FileNotFoundError:
            if not is_listed(backend, JOURNAL):
                return ()
            continue  # it was being made, or the storage shows stale names
        found = (attempt_of(entry.name) for entry in entries)
        return tuple(sorted(n for n in found if n is not None))
    raise StorageError(f"{JOURNAL} is listed, and cannot be opened: the storage shows stale names")


def acknowledged(logs: Iterable[AttemptLog]) -> set[str]:
    """Return the names of the checkpoints that were saved, and neither pruned nor quarantined since."""
    saved: set[str] = set()
    for log in logs:
        for event in log.events:
            kind, name = event["event"], event.get("checkpoint")
            if kind == "saved" and isinstance(name, str) and CheckpointName.parse(name):
                saved.add(name)
            elif kind == "quarantined":
                saved.discard(str(name))
            elif kind == "pruned" and isinstance(event.get("checkpoints"), list):
                saved.difference_update(map(str, event["checkpoints"]))
    return saved


def read_head(backend: Backend, attempt: int) -> AttemptLog:
    """Read the beginning of an attempt's journal: its claim and what it adopted."""
    with backend.open(journal_path(attempt)) as file:
        return _parse(attempt, _lines(file, min(file.size_bytes, _HEAD_BYTES)), metrics=False)


def read(backend: Backend, attempt: int, *, metrics: bool = False) -> AttemptLog:
    """Read an attempt's journal. Damaged lines are counted and left out.

    Args:
        backend: the store's storage.
        attempt: whose.
        metrics: return (and check) every line of metrics, which may be most of a journal; else only the last one.

    Raises:
        DamageError: it is no file, or larger than any journal.
    """
    path = journal_path(attempt)
    with backend.open(path) as file:
        if file.size_bytes > MAX_JOURNAL_BYTES:
            raise DamageError(f"{path} has {file.size_bytes} bytes, more than {MAX_JOURNAL_BYTES}", path=path)
        return _parse(attempt, _lines(file, file.size_bytes), metrics=metrics)


def _parse(attempt: int, lines: Iterator[tuple[bytes, bool]], *, metrics: bool) -> AttemptLog:
    path = journal_path(attempt)
    kept = _Kept()
    damaged = 0
    skipped = b""
    for text, is_torn in lines:
        if is_torn:
            damaged += _ended_in_another_byte(text, path)
            break
        if not metrics and _METRICS_MARK in text[:_MARK_WITHIN]:
            skipped = text
            continue
        try:
            kept.add(read_line(text, path), len(text))
        except (DamageError, VersionError):
            damaged += 1
    if skipped:
        with suppress(DamageError, VersionError):  # `outlast verify` reads them all, and counts
            kept.put_in(read_line(skipped, path))
    if not _is_of(kept.events, attempt):
        return AttemptLog(attempt=attempt, events=(), damaged=damaged + kept.count)
    return AttemptLog(attempt=attempt, events=tuple(kept.events), damaged=damaged + kept.replayed)


class _Kept:
    """The events of a journal in order: of very many the first and the last, for memory is bounded.

    Attributes:
        count: how many there were.
        replayed: those whose number was there before. Numbers may be missing: those of appends that failed.
    """

    def __init__(self) -> None:
        self.count = self.replayed = 0
        self._first: list[dict[str, Any]] = []
        self._last: deque[tuple[dict[str, Any], int]] = deque()
        self._room = [_HALF_WEIGHT, _HALF_WEIGHT]
        self._seq = -1
        self._kind = ""

    def add(self, event: dict[str, Any], size_bytes: int) -> None:
        self.count += 1
        seq = event.get("seq")
        if type(seq) is not int or seq <= self._seq:
            self.replayed += 1
            return
        is_copy = event["event"] == self._kind == ADOPT
        self._seq, self._kind = seq, event["event"]
        if not is_copy:
            self._keep(event, size_bytes)

    def _keep(self, event: dict[str, Any], size_bytes: int) -> None:
        weight = _EVENT_WEIGHT + _WEIGHT_OF_A_BYTE * size_bytes
        if weight <= self._room[0]:
            self._room[0] -= weight
            self._first.append(event)
            return
        self._room[0] = 0
        self._room[1] -= weight
        self._last.append((event, weight))
        while self._room[1] < 0:
            self._room[1] += self._last.popleft()[1]

    def put_in(self, event: dict[str, Any]) -> None:
        """Put one more event where its number belongs."""
        seq = event.get("seq")
        if type(seq) is int and all(one["seq"] != seq for one in self.events):
            self._first.append(event)

    @property
    def events(self) -> list[dict[str, Any]]:
        return sorted([*self._first, *(event for event, _ in self._last)], key=lambda event: int(event["seq"]))


def _ended_in_another_byte(text: bytes, path: str) -> bool:
    """Whether a last line was whole, and what turned is the newline behind it: no crash leaves that."""
    try:
        read_line(text[:-1], path)
    except (DamageError, VersionError):
        return False
    return True


def _is_of(events: list[dict[str, Any]], attempt: int) -> bool:
    """Whether a journal is that of its name, as far as it says: a misplaced one must not tell what counts."""
    claim = next((event for event in events if event["event"] == "claim"), None)
    return claim is None or claim.get("attempt") == attempt


def read_line(text: bytes, path: str) -> dict[str, Any]:
    """Read one line, which comes without its newline. Raises DamageError, VersionError."""
    event = unseal(text + b"\n", path=path)
    for name, kind in _TYPES.items():
        if name in event and type(event[name]) is not kind:
            raise DamageError(f"{path}: a line whose {name} is a {type(event[name]).__name__}", path=path)
    if not {"event", "at", *_NEEDED.get(event.get("event", ""), ())} <= event.keys() or not _are_rows(event):
        raise DamageError(f"{path}: a line that lacks a member, or whose rows are none", path=path)
    return event


def _are_rows(event: dict[str, Any]) -> bool:
    """Whether the rows of a line of metrics are pairs of a step and values by name."""
    rows = event.get("rows", [])
    return isinstance(rows, list) and all(
        isinstance(row, list) and [type(inner) for inner in row] == [int, dict] for row in rows
    )


def _lines(file: Reader, size_bytes: int) -> Iterator[tuple[bytes, bool]]:
    """Yield each line, and whether it is the last and has no end: cut by a crash. Reads a block at a time."""
    rest = b""
    for at in range(0, size_bytes, _BLOCK_BYTES):
        block = bytearray(min(_BLOCK_BYTES, size_bytes - at))
        file.read_into(memoryview(block), at)
        *whole, rest = (rest + bytes(block)).split(b"\n")
        yield from ((line, False) for line in whole if line)
        if len(rest) > MAX_LINE_BYTES:
            rest = rest[:1]  # no line is as long: what follows is no event
    if rest:
        yield rest, True
