"""The folder `jobs/` of a store: the records of the jobs that the run was placed in, written by whoever supervises.

It may be there before the store is: a job's output lies beside its record. No restart depends on anything in it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Self

from outlast.backends import Appender, Backend, Posix
from outlast.clock import SYSTEM, Clock
from outlast.errors import DamageError, StorageError
from outlast.format import jobs
from outlast.format.jobs import JobLog, JobName
from outlast.store.layout import JOBS, job_of, job_path, told

_SYNCED = (jobs.PLACED, jobs.END, jobs.DECISION)  # while no program runs, so it keeps nobody waiting
_HEAD_BYTES = 512 << 10  # of a record that is longer than any: it begins with where it was placed
_TAIL_BYTES = 2 << 20


class JobJournal:
    """The record of the placing that this process is in. One owner; not safe between threads."""

    def __init__(self, appender: Appender, clock: Clock, *, begins_anew: bool) -> None:
        self._appender, self._clock, self._begins_anew = appender, clock, begins_anew

    @classmethod
    @told
    def begin(cls, backend: Posix, name: JobName, *, clock: Clock = SYSTEM) -> Self:
        """Make the record, and the directories above it; go on with it if an earlier command of this job made it.

        Raises:
            StorageError: that cannot be done. Whoever supervises says so, and goes on without.
            UsageError: somebody else chose where the path leads.
        """
        backend.make_root()
        backend.guard()
        with suppress(FileExistsError):
            backend.make_dir(JOBS)
        backend.sync("")  # found or made: who made it may have been killed before it was durable
        path = job_path(name)
        try:
            backend.create(path, [])
            backend.sync(JOBS)
            return cls(backend.appender(path, holds=b""), clock, begins_anew=False)
        except FileExistsError:
            return cls(backend.appender(path), clock, begins_anew=True)

    def record(self, event: str, **fields: Any) -> None:
        """Append one event: `placed`, `start`, `deadline`, `notice`, `end` or `decision`.

        Args:
            event: its kind.
            fields: its members, as `outlast.format.jobs` lists them; None is left out, times may be seconds since the
                epoch.

        Raises:
            StorageError: the line may or may not be there; the next one starts on a line of its own.
        """
        data = jobs.line(self._clock.wall(), event, fields)
        begin = b"\n" if self._begins_anew else b""  # behind a line that was torn
        self._begins_anew = True
        self._appender.append(begin + data, sync=event in _SYNCED)
        self._begins_anew = False

    def close(self) -> None:
        self._appender.close()


def job_logs(backend: Backend) -> tuple[JobLog, ...]:
    """Read all records, in the order of the jobs. One that cannot be read counts as a damaged line."""
    names = (job_of(entry.name) for entry in backend.list(JOBS) if entry.kind == "file")
    logs = [read_job(backend, name) for name in names if name]
    return tuple(sorted(logs, key=lambda log: (log.events[0]["at"] if log.events else "", log.name)))


def read_job(backend: Backend, name: JobName) -> JobLog:
    """Read the record of one placing."""
    path = job_path(name)
    try:
        return jobs.read(name, _contents(backend, path), path)
    except (DamageError, StorageError, FileNotFoundError):
        return JobLog(name=name, events=(), damaged=1)


def _contents(backend: Backend, path: str) -> bytes:
    """Return what stands in a record; of one that is too long its beginning and its end."""
    with backend.open(path) as file:
        if file.size_bytes <= _HEAD_BYTES + _TAIL_BYTES:
            data = bytearray(file.size_bytes)
            file.read_into(memoryview(data), 0)
            return bytes(data)
        head, tail = bytearray(_HEAD_BYTES), bytearray(_TAIL_BYTES)
        file.read_into(memoryview(head), 0)
        file.read_into(memoryview(tail), file.size_bytes - _TAIL_BYTES)
    return bytes(head[: head.rfind(b"\n") + 1] + tail[tail.find(b"\n") + 1 :])
