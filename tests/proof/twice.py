"""A kill, the next attempt, and then a loss of power: what the killed one had not synced the next one builds on.

After a kill all that was done is visible, durable or not. Who finds a directory or a file there must not take it for
durable.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fileskit import Files
from proof.core import Harness
from proof.crashes import promised
from proof.replay import ALL, Record, judge_states, record, recorded
from proof.scenarios import Report
from storekit import Attempt

_APART = 12  # besides each promise, one step in so many is looked at: another one in each case


def save_on(kit: type[Attempt], path: Path, calls: Any, report: Report) -> None:
    attempt = kit.begin(path, calls=calls)
    found = attempt.restore() or 0
    for step in (found + 1, found + 2):
        attempt.save(step, keep=1)
        report(b"acknowledged %d\n" % step)
    attempt.lease.end("done")


def prune(kit: type[Attempt], path: Path, calls: Any, report: Report) -> None:
    attempt = kit.begin(path, calls=calls)
    attempt.restore()
    attempt.prune(1)
    attempt.lease.end("done")


THEN = {"save": save_on, "prune": prune}


def cases() -> Iterator[str]:
    for name in ALL:
        for at in range(len(recorded(name).steps)):
            yield from (f"{name}:{at}:{then}" for then in THEN)


@functools.lru_cache(4)
def _recorded(name: str, at: int, then: str) -> Record:
    kit = Files if ALL[name].kit is Files else Attempt  # a store of files is continued by a program that saves files
    return record(name, dies_at=at, then=functools.partial(THEN[then], kit))


def run(case: str, folder: Path) -> int:
    name, at, then = case.split(":")
    found = _recorded(name, int(at), then)
    saved = {int(text.split()[1]) for text in promised(found.steps) if text.startswith("ack")}
    return sum(
        judge_states(found, step, folder, case, ALL[name].allowed | saved)
        for step in range(int(at) + 1, len(found.steps) + 1)
        if promised(found.steps[step - 1 : step]) or (step + int(at)) % _APART == 0
    )


HARNESS = Harness(cases=cases, run=run, sample=6)
