"""SIGKILL at every storage call: before it (which is after the one before), after the last, within each write.

Each case is a real process that kills itself. What it proves is the order of calls, not their durability: the page
cache outlives a process (see `replay` and `cuts` for that).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import storekit
from outlast.testing import CountedCalls, Fault
from proof.core import Harness
from proof.judge import judge
from proof.scenarios import SCENARIOS, calls_of, prepared


def cases() -> Iterator[str]:
    for name in SCENARIOS:
        calls = calls_of(name)
        yield from (f"{name}:before:{at}" for at in range(1, len(calls) + 1))
        yield f"{name}:after:{len(calls)}"
        yield from (f"{name}:torn:{at}" for at, call in enumerate(calls, 1) if call in ("write", "pwrite"))


def run(case: str, folder: Path) -> None:
    name, when, at = case.split(":")
    scenario, path = SCENARIOS[name], prepared(name, folder)
    calls = CountedCalls(Fault(at=int(at), signal=signal.SIGKILL, when=when))
    status, told = storekit.in_child(lambda report: scenario.act(path, calls, report))
    assert os.WIFSIGNALED(status), f"not killed: {told!r}"
    judge(path, told, scenario)


HARNESS = Harness(cases=cases, run=run, sample=300)
