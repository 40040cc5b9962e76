"""The kernel's out-of-memory killer takes the writer in a save: a cgroup with too little memory, at every limit.

The store lies in memory (tmpfs), so what is written counts as the writer's. A save that dies of it is as one that was
killed: the previous or the new checkpoint restores, and a program started again comes to the same result.
"""

from __future__ import annotations

import os
import resource
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import storekit
from outlast.testing import CountedCalls
from proof import program
from proof.core import Harness
from proof.judge import acknowledged, judge
from proof.scenarios import SCENARIOS, Report, calls_of, prepared

_CGROUPS = Path("/sys/fs/cgroup/memory")
_ACTS_KIB = range(1024, 3072, 8)  # from nothing done to all: the interpreter's own growth and what it stores
_PROGRAM_KIB = range(1024, 8192, 32)


def missing() -> str | None:
    """Why this cannot be tested here; None if it can."""
    if not (_CGROUPS / "memory.limit_in_bytes").exists():
        return "the memory controller of cgroup v1 at /sys/fs/cgroup/memory"
    return None if os.access(_CGROUPS, os.W_OK) and os.geteuid() == 0 else "root, to make a cgroup"


def cases() -> Iterator[str]:
    for kib in _ACTS_KIB:
        yield from (f"{name}:{kib}" for name in ("later-save", "keep-1-whole", "last-save", "quarantine"))
    yield from (f"program:{kib}" for kib in _PROGRAM_KIB)


class _Group:
    """A cgroup for one child."""

    def __init__(self, limit_bytes: int) -> None:
        self.path = _CGROUPS / f"outlast-proof-{uuid.uuid4().hex}"
        self._limit_bytes = limit_bytes

    def __enter__(self) -> Self:
        self.path.mkdir()
        (self.path / "memory.limit_in_bytes").write_text(str(self._limit_bytes))
        return self

    def __exit__(self, *error: object) -> None:
        self.path.rmdir()

    def enter(self) -> None:
        """Move this process into it: what it touches from now on counts."""
        (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def kills(self) -> int:
        lines = (self.path / "memory.oom_control").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("oom_kill ")))


def run(case: str, folder: Path) -> int:
    name, kib = case.split(":")
    calls = None if name == "program" else calls_of(name)
    with _Group(int(kib) << 10) as group:
        if calls is None:
            return _run_program(folder, group)
        status, told = storekit.in_child(_act(name, prepared(name, folder), group))
        _check_exit(os.waitstatus_to_exitcode(status), group, told)
    if status == 0:
        seen, final = acknowledged(told), SCENARIOS[name].final
        assert seen == final, f"ended well, but acknowledged only {seen}"
    judge(folder / "store", told, SCENARIOS[name])
    return 1


def _act(name: str, path: Path, group: _Group) -> Callable[[Report], None]:
    def act(report: Report) -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        group.enter()
        SCENARIOS[name].act(path, CountedCalls(), report)

    return act


def _run_program(folder: Path, group: _Group) -> int:
    def work() -> None:
        group.enter()
        program.compute(folder)

    code = os.waitstatus_to_exitcode(program.forked(folder, work))
    _check_exit(code, group, program.said(folder))
    return program.finish(folder)


def _check_exit(code: int, group: _Group, said: object) -> None:
    if group.kills():
        assert code == -signal.SIGKILL, f"ended with {code}, and the kernel says that it killed: {said!r}"
    else:
        assert code == 0, f"ended with {code} without having been killed: {said!r}"


HARNESS = Harness(cases=cases, run=run, sample=40, needs=missing)
