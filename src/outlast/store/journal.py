"""The append-only record of an attempt: one JSON line an event, each with its own digest."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from outlast.backends import Appender, Backend, Reader
from outlast.clock import Clock, iso
from outlast.errors import DamageError, SpaceError, VersionError
from outlast.format.envelope import seal, unseal
from outlast.format.names import CheckpointName
from outlast.store.layout import JOURNAL, MAX_JOURNAL_BYTES, MAX_TABLE_BYTES, attempt_of, journal_path

METRICS = "metrics"
_METRICS_MARK = b'"event":"metrics"'
_MARK_WITHIN = 120
_HEAD_BYTES = 4 << 20
_BLOCK_BYTES = 4 << 20


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
        with self._lock:
            data = self._backlog + line(self._seq, self._clock, event, fields)
            self._seq += 1
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

    def save_seconds(self) -> list[float]:
        """Return how long each save took until it was durable."""
        told = (event.get("seconds") for event in self.events if event["event"] == "saved")
        return [float(seconds) for seconds in told if isinstance(seconds, (int, float))]


def attempts(backend: Backend) -> tuple[int, ...]:
    """List the attempts that have claimed this run, oldest first, from the storage itself."""
    found = (attempt_of(entry.name) for entry in backend.list(JOURNAL))
    return tuple(sorted(n for n in found if n is not None))


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
    events: list[dict[str, Any]] = []
    damaged = 0
    skipped, place = b"", 0
    for text, is_torn in lines:
        if is_torn:
            break
        if not metrics and _METRICS_MARK in text[:_MARK_WITHIN]:
            skipped, place = text, len(events)
            continue
        try:
            events.append(_event(text, path))
        except (DamageError, VersionError):
            damaged += 1
    if skipped:
        with suppress(DamageError, VersionError):  # `outlast verify` reads them all, and counts
            events.insert(place, _event(skipped, path))
    return AttemptLog(attempt=attempt, events=tuple(events), damaged=damaged)


def _event(text: bytes, path: str) -> dict[str, Any]:
    event = unseal(text + b"\n", path=path)
    if not isinstance(event.get("event"), str):
        raise DamageError(f"{path}: a line without an event", path=path)
    return event


def _lines(file: Reader, size_bytes: int) -> Iterator[tuple[bytes, bool]]:
    """Yield each line, and whether it is the last and has no end: cut by a crash. Reads a block at a time."""
    rest = b""
    for at in range(0, size_bytes, _BLOCK_BYTES):
        block = bytearray(min(_BLOCK_BYTES, size_bytes - at))
        file.read_into(memoryview(block), at)
        *whole, rest = (rest + bytes(block)).split(b"\n")
        yield from ((line, False) for line in whole if line)
        if len(rest) > MAX_TABLE_BYTES:
            rest = rest[:1]  # no line is as long: what follows is no event
    if rest:
        yield rest, True
