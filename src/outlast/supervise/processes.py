"""What /proc says of processes: who descends from whom. Reading only; signals and waiting are in `tree`."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass

_PPID, _SESSION, _THREADS, _STARTED = 1, 3, 17, 19  # places in /proc/PID/stat, after the command's name


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process as it stood when it was looked at.

    Attributes:
        started: clock ticks since boot; with the pid it names a process for good.
        alive: False for a zombie. (A zombie whose other threads go on is alive.)
        name: of its program, as far as the kernel keeps it: 15 bytes.
    """

    pid: int
    parent: int
    session: int
    started: int
    alive: bool
    name: bytes = b""


def look(pid: int) -> Process | None:
    """Return one process; None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            head, _, rest = file.read().rpartition(b")")
    except OSError:
        return None
    fields = rest.split()
    return Process(
        pid=pid,
        name=head.partition(b"(")[2],
        parent=int(fields[_PPID]),
        session=int(fields[_SESSION]),
        started=int(fields[_STARTED]),
        alive=fields[0] not in b"ZX" or int(fields[_THREADS]) > 1,
    )


def is_above(pid: int) -> bool:
    """Say whether a process is an ancestor of ours."""
    return pid in above()


def above() -> tuple[int, ...]:
    """Return the pids of our ancestors, our parent first; those outside of our pid namespace are not seen."""
    found: list[int] = []
    at = os.getppid()
    while at > 0:
        found.append(at)
        parent = look(at)
        at = parent.parent if parent else 0
    return tuple(found)


def table() -> dict[int, Process]:
    """Return all processes that we may see, by pid."""
    found = (look(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return {process.pid: process for process in found if process}


def below(processes: Mapping[int, Process], roots: Collection[int], but: Collection[Process] = ()) -> set[int]:
    """Return the descendants of `roots`, without the roots, and without `but` and what is below those."""
    children: dict[int, list[int]] = {}
    others = {(process.pid, process.started) for process in but}
    for process in processes.values():
        if (process.pid, process.started) not in others:
            children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    todo = list(roots)
    while todo:
        new = [pid for pid in children.get(todo.pop(), ()) if pid not in found]
        found.update(new)
        todo += new
    return found - set(roots)


def in_sessions(processes: Mapping[int, Process], leaders: Collection[int]) -> set[int]:
    """Return the members of the sessions that these processes lead, or led."""
    return {process.pid for process in processes.values() if process.session in leaders}


def children() -> tuple[Process, ...]:
    """Return our own children, zombies too."""
    own = os.getpid()
    return tuple(process for process in table().values() if process.parent == own)
