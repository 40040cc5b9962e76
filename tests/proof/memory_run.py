"""A whole program that runs out of memory: at the n-th allocation in any of its threads, or of address space.

It goes on as if nothing had happened, or it fails loudly; started again, it comes to the same result.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from proof import program
from proof.core import Harness
from proof.memory import PATIENCE_S, WIDE, failing, missing, quiet

_ALLOCATIONS, _STRIDE = 60_000, 19  # more than the program makes; every one of them in `memory`
_STEP_BYTES = 128 << 10
_NEVER_BEGAN = "Exception ignored in thread started by"  # CPython: Thread.start() then waits for ever
_SWEEP_BYTES = 24 << 20  # two threads' stacks, and more


def cases() -> Iterator[str]:
    for n in range(0, _ALLOCATIONS, _STRIDE):
        kind = list(WIDE)[n % len(WIDE)]
        yield f"{kind}:stop:{n}"
        yield f"{kind}:warn:{n}"
    for n in range(0, _SWEEP_BYTES, _STEP_BYTES):
        yield f"space:stop:{n}"
        yield f"space:warn:{n}"


def _confined(work: Callable[[], None], more_bytes: int) -> None:
    """Do it with so many more bytes of address space than there are now."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + more_bytes, used + more_bytes))
    work()


def run(case: str, folder: Path) -> int:
    kind, on_error, at = case.split(":")

    def compute() -> None:
        program.compute(folder, on_error=on_error)  # type: ignore[arg-type]

    def work() -> None:
        signal.alarm(PATIENCE_S)
        quiet(folder)
        if kind == "space":
            _confined(compute, int(at))
        else:
            failing(compute, int(at), WIDE[kind])

    code = os.waitstatus_to_exitcode(program.forked(folder, work))
    never_began = _NEVER_BEGAN in program.said(folder)
    assert code != -signal.SIGALRM or never_began, f"still not done after {PATIENCE_S} s: {program.said(folder)}"
    lines = program.told_in(folder).lines
    assert code != 0 or any(line.startswith("result") for line in lines), "ended with 0, and is not done"
    return program.finish(folder)


HARNESS = Harness(cases=cases, run=run, sample=70, needs=missing)
