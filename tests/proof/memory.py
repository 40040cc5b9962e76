"""Memory gives out: at the n-th allocation of whatever is done to a store, once or for a while.

A save either succeeds or fails loudly; what was acknowledged stays; nothing good is taken for damaged. A process that
dies of it counts as killed. See `memory_run` for whole programs, `oom`
for the kernel's killer. Not for good: CPython 3.11 then spins for ever as it
unwinds an exception, before any of our code runs.
"""

from __future__ import annotations

import faulthandler
import functools
import os
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import storekit
from outlast.testing import CountedCalls
from proof import core
from proof.core import Harness
from proof.judge import acknowledged, judge
from proof.scenarios import SCENARIOS, Report, prepared

WIDE = {"once": 1, "few": 7, "burst": 500}  # how many allocations fail from the n-th on
_SURE = 5000  # so many in a row cannot go unnoticed
_ROUND = 2000  # counts differ a little from process to process: the names of the cases shall not
PATIENCE_S = 20


def missing() -> str | None:
    """Why this cannot be tested here; None if it can."""
    try:
        import _testcapi
    except ImportError:
        return "CPython's _testcapi (a Debian package: libpython3-testsuite)"
    return None if hasattr(_testcapi, "set_nomemory") else "_testcapi.set_nomemory"


def cases() -> Iterator[str]:
    for name in SCENARIOS:
        for n in range(allocations_of(name)):
            yield f"{name}:{list(WIDE)[n % len(WIDE)]}:{n}"


def failing(act: Callable[[], None], n: int, wide: int) -> None:
    """Do something while the n-th allocation from now (and so many more) fails."""
    import _testcapi

    _testcapi.set_nomemory(n, n + wide)
    try:
        act()
    finally:
        _testcapi.remove_mem_hooks()


@functools.cache
def allocations_of(name: str) -> int:
    """About how many allocations an undisturbed act makes."""
    low, high = 0, 2 * _ROUND
    while not _is_enough(name, high):
        low, high = high, high * 2
    while high - low > _ROUND:
        middle = (low + high) // 2
        low, high = (low, middle) if _is_enough(name, middle) else (middle, high)
    return -(-high // _ROUND) * _ROUND


def _is_enough(name: str, n: int) -> bool:
    with core.folder() as folder:
        status, _ = _act(name, folder, n, wide=_SURE)
    assert os.waitstatus_to_exitcode(status) != -signal.SIGALRM, f"still not done after {PATIENCE_S} s"
    return status == 0


def _act(name: str, folder: Path, n: int, wide: int) -> tuple[int, bytes]:
    path = prepared(name, folder)

    def act(report: Report) -> None:
        signal.alarm(PATIENCE_S)
        quiet(folder)
        failing(lambda: SCENARIOS[name].act(path, CountedCalls(), report), n, wide)

    return storekit.in_child(act)


def quiet(folder: Path) -> None:
    """What the interpreter prints as it gives up goes into a file."""
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    fd = os.open(folder / "stderr", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(fd, 2)


def run(case: str, folder: Path) -> None:
    name, kind, at = case.split(":")
    scenario = SCENARIOS[name]
    status, told = _act(name, folder, int(at), WIDE[kind])
    code = os.waitstatus_to_exitcode(status)
    assert code != -signal.SIGALRM, f"still not done after {PATIENCE_S} s"
    if code == 0:
        seen = acknowledged(told)
        assert seen is None or seen == scenario.final, f"ended well, but acknowledged only {seen}"
    if code == storekit.BUG:
        last = told.splitlines()[-1:] or [b""]  # nothing: there was no memory to say it either
        by_memory = (
            any(word in last[0] for word in (b"MemoryError", b"SystemError", b"can't allocate", b"ack")) or not last[0]
        )
        assert by_memory, f"failed with {told!r}"  # others: CPython's own, where it says it otherwise
    quarantine = folder / "store" / "quarantine"
    is_spared = not quarantine.exists() or not any(quarantine.iterdir())
    assert scenario.damaged or is_spared, "a good checkpoint was taken for damaged"
    judge(folder / "store", told, scenario)


HARNESS = Harness(cases=cases, run=run, sample=100, needs=missing)
