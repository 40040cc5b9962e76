"""Clocks that jump by years, and time stamps that are years off: they are for people, and decide nothing for good.

`wall:SCENARIO:K:YEARS`: this machine's clock jumps before the K-th call of a scenario.
`stamps:SCENARIO:K:YEARS`: every file of the store gets a time stamp that is years off, then.
`silent:YEARS`: the last attempt died on another node, its heartbeat is dated years off: it locks nobody out for longer
    than a silent one, and nobody is told that it lives.
`sweep:YEARS`: another attempt's temporary file looks old, and is swept away while a claim is being published.
`verbs:FIRST:SECOND:MONOTONIC`: the command line under `faketime`: a run is saved, continued, verified, pruned.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import storekit
from outlast.backends import host
from outlast.clock import SystemClock
from outlast.errors import NothingError
from outlast.store import SILENT_S, Lease, Pruner, Store
from outlast.testing import CountedCalls, FakeClock
from proof import ledger
from proof.children import Child, Report
from proof.core import Harness
from proof.judge import acknowledged, judge
from proof.scenarios import SCENARIOS, calls_of, prepared, seed_two
from storekit import Attempt

_YEAR_S = 365 * 24 * 3600.0
_YEARS = ("+10", "-10")
_PROGRAM = """
import sys, outlast
state = {"sum": 0}
with outlast.Run(sys.argv[1], state, every=1, keep=3) as run:
    for step in run.steps(int(sys.argv[2])):
        state["sum"] += step
        if step + 1 == int(sys.argv[3]):
            run.leave("as asked")
print(state["sum"])
"""
_LEFT = 85


def cases() -> Iterator[str]:
    for years in _YEARS:
        yield f"silent:{years}"
        yield f"sweep:{years}"
    for first, second in (("+10", "-10"), ("-10", "+10"), ("+10", "+20")):
        yield from (f"verbs:{first}:{second}:{monotonic}" for monotonic in ("true", "faked"))
    for name in SCENARIOS:
        for at in range(1, len(calls_of(name)) + 1):
            yield from (f"{kind}:{name}:{at}:{years}" for kind in ("wall", "stamps") for years in _YEARS)


def run(case: str, folder: Path) -> int:
    kind, *rest = case.split(":")
    if kind in ("wall", "stamps"):
        return _jump(kind, rest[0], int(rest[1]), float(rest[2]), folder)
    return {"silent": _silent, "sweep": _sweep, "verbs": _verbs}[kind](folder / "store", *rest)


def _jump(kind: str, name: str, at: int, years: float, folder: Path) -> int:
    scenario, path = SCENARIOS[name], prepared(name, folder)

    def strike(calls: CountedCalls) -> None:
        if len(calls.log) == at:
            _shift_wall(years) if kind == "wall" else _shift_stamps(path, years)

    def work(report: Report) -> None:
        calls = CountedCalls()
        calls.hook = lambda _: strike(calls)
        scenario.act(path, calls, report)

    with Child(work) as child:
        code, told = child.end()
    assert code == 0, f"ended with {code}: {told.decode()}"
    seen = acknowledged(told)
    assert seen is None or seen == scenario.final, f"ended well, but acknowledged only {seen}"
    judge(path, told, scenario)
    return 1


def _shift_wall(years: float) -> None:
    """In this process it is that many years later from now on."""
    SystemClock.wall = lambda _: time.time() + years * _YEAR_S  # type: ignore[method-assign]


def _shift_stamps(path: Path, years: float) -> None:
    for one in sorted(path.rglob("*")) if path.exists() else ():
        when = one.stat().st_mtime + years * _YEAR_S
        os.utime(one, (when, when), follow_symlinks=False)


def _elsewhere() -> host.Identity:
    return replace(host.me(), host="another", boot="another")


def _silent(path: Path, years: str) -> int:
    store = Store(path, create=True)
    store.claim(identity=_elsewhere())  # and died there
    _shift_stamps(path, float(years))
    assert store.live() is None, "a time stamp years off is taken for a sign of life"
    assert store.live(probe=True) is None, "a time stamp years off is taken for a sign of life"
    try:
        store.request("stop", "as asked")
    except NothingError:
        pass
    else:
        raise AssertionError("a request was left for a run that nobody hears")
    clock = FakeClock()
    again = Store(path, clock=clock).claim()
    assert again.attempt == 2
    assert sum(clock.slept_s) <= SILENT_S + 2, f"watched for {sum(clock.slept_s)} s"
    return 1


def _sweep(path: Path, years: str) -> int:
    """Whoever sweeps judges ages by the file system's clock; where that has jumped, a claim begins again."""
    seed_two(path)
    other = Store(path).claim()
    other.end("done")
    swept: list[str] = []

    def sweep(name: str) -> None:
        found = list((path / "journal").glob(".tmp-*"))
        if name == "link" and found and not swept:
            swept.extend(one.name for one in found)
            _shift_stamps(path / "journal", float(years))
            _tidy(path, other)

    attempt = Attempt.begin(path, calls=CountedCalls(hook=sweep))
    assert swept, "the claim was not met"
    assert attempt.restore() == 2
    attempt.save(3, keep=1)
    attempt.lease.end("done")
    ledger.check(path)
    assert storekit.newest(path) == 3
    return 1


def _tidy(path: Path, lease: Lease) -> None:
    Pruner(replace(lease, backend=Store(path).backend), store=Store(path).id).sweep(counted=[], gone=[])


def _verbs(path: Path, first: str, second: str, monotonic: str) -> int:
    def call(years: str, *arguments: str, status: int = 0) -> str:
        faked = {"FAKETIME_DONT_FAKE_MONOTONIC": "1"} if monotonic == "true" else {}
        command = ["faketime", "-f", f"{years}y", sys.executable, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | faked, timeout=120, check=False)
        assert done.returncode == status, f"{arguments[-3:]} under {years}y: {done.returncode}, {done.stderr[-800:]}"
        return done.stdout

    def verb(years: str, *arguments: str) -> dict[str, object]:
        document = json.loads(call(years, "-m", "outlast.cli.main", *arguments, "--json", str(path)))
        assert isinstance(document, dict)
        return document

    call(first, "-c", _PROGRAM, str(path), "8", "4", status=_LEFT)
    _shift_stamps(path, float(first))
    assert verb(second, "verify")["good"] is True
    assert call(second, "-c", _PROGRAM, str(path), "8", "6", status=_LEFT) == ""
    assert verb(second, "status")["steps_lost"] == 0
    told = verb(first, "prune", "--keep", "2")["checkpoints"]
    assert isinstance(told, list)
    assert [row["removed"] for row in told] == [False, False, True], told
    assert call(first, "-c", _PROGRAM, str(path), "8", "0") == "28\n"
    assert verb(second, "status")["state"] == "done"
    assert verb(second, "verify")["good"] is True
    attempts = [name.attempt for name in Store(path).checkpoints()]
    assert attempts == sorted(attempts, reverse=True), attempts
    return 8


HARNESS = Harness(cases=cases, run=run, sample=90, tools=("faketime",))
