"""Every storage call failing, once and for good: refusals, short writes and reads, a failed sync that loses the data.

Either a loud error, or all is as if nothing had happened; never 'acknowledged' over something that does not restore.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import storekit
from outlast.store import Store
from outlast.testing import CountedCalls, Fault
from proof.core import Harness
from proof.judge import acknowledged, judge
from proof.scenarios import SCENARIOS, Scenario, calls_of, prepared

NAMES = ("EIO", "ENOSPC", "EDQUOT", "EROFS", "ESTALE", "EINTR", "EACCES", "ENOENT", "EMFILE", "ENOMEM", "EFBIG")
_SEEDED = 2  # the newest step that a program of files begins with
_SHORT = {"write", "pwrite", "read"}
_NO_ROOM = {"ENOSPC", "EDQUOT", "EFBIG", "EMLINK"}
_TAKES_ROOM = {"create", "mkdir", "link", "rename", "unlink", "rmdir", "write", "pwrite", "allocate", "fsync"}
_FALLS_BACK = {
    "pwrite": "EINVAL",
    "allocate": "EOPNOTSUPP",
    "lock": "EOPNOTSUPP",
}  # storage without the one or the other


def cases() -> Iterator[str]:
    for name in SCENARIOS:
        calls = calls_of(name)
        for at, call in enumerate(calls, 1):
            for error in NAMES:
                yield f"{name}:{error}:once:{at}"
                yield f"{name}:{error}:kind:{at}"
                yield f"{name}:{error}:lasting:{at}"
            if call in _SHORT:
                yield f"{name}:short:once:{at}"
                yield f"{name}:short:lasting:{at}"
            if call in ("write", "pwrite"):
                yield f"{name}:ENOSPC:torn:{at}"
            if call in _FALLS_BACK:
                yield f"{name}:{_FALLS_BACK[call]}:once:{at}"
                yield f"{name}:{_FALLS_BACK[call]}:kind:{at}"
            if call == "fsync":
                yield f"{name}:lost:once:{at}"
                yield f"{name}:lost:kind:{at}"
            if call in ("link", "mkdir"):
                yield f"{name}:EMLINK:once:{at}"
                yield f"{name}:EMLINK:kind:{at}"
            if call in ("link", "rename", "unlink", "mkdir", "pwrite"):
                yield f"{name}:EIO:after:{at}"  # carried out, and the answer was lost


def fault(calls: tuple[str, ...], what: str, how: str, at: int) -> Fault:
    """Build the fault: `once`, `lasting` (all calls from then on), `kind` (all calls of that name from then on)."""
    only: tuple[str, ...] = ()
    if how == "kind":
        kind = calls[at - 1]
        only, at = (kind,), calls[:at].count(kind)
    lasting = how in ("kind", "lasting")
    if what == "short":
        return Fault(at=at, when="short", lasting=lasting)
    if what == "lost":
        return Fault(at=at, errno=errno.EIO, when="lost", lasting=lasting, only=only)
    when = {"torn": "torn", "after": "after"}.get(how, "before")
    return Fault(at=at, errno=getattr(errno, what), when=when, lasting=lasting, only=only)


def run(case: str, folder: Path) -> None:
    name, what, how, at = case.split(":")
    scenario, path = SCENARIOS[name], prepared(name, folder)
    calls = CountedCalls(fault(calls_of(name), what, how, int(at)))
    status, told = storekit.in_child(lambda report: scenario.act(path, calls, report))
    assert os.WIFEXITED(status), f"died of a signal: {status}"
    code = os.WEXITSTATUS(status)
    assert code != storekit.BUG, f"not an error of outlast's own: {told.decode()}"
    if what == "short":
        assert code == 0, f"what is cut short is to be continued: {told!r}"
    call = calls_of(name)[int(at) - 1]
    if what == _FALLS_BACK.get(call) and (how == "once" or call != "pwrite"):
        assert code == 0, f"without it all can be done another way: {told!r}"
    if what in _NO_ROOM:
        takes_room = how != "lasting" and calls_of(name)[int(at) - 1] in _TAKES_ROOM
        assert not takes_room or b"error:DamageError" not in told, f"no room was told as damage: {told!r}"
        _check_not_passed_over(path, scenario)
    if code == 0:
        seen = acknowledged(told)
        assert seen is None or seen == scenario.final, f"ended well, but acknowledged only {seen}"
    judge(path, told, scenario, lines_lost=what == "lost")


def _check_not_passed_over(path: Path, scenario: Scenario) -> None:
    """Want of room is no fault of a checkpoint: the newest is restored, or none; nothing goes to quarantine for it."""
    if not (path / "outlast.json").exists():
        return
    store = Store(path)
    restored = [log.last("restored") for log in store.attempts()]
    steps = {line["step"] for line in restored if line}
    assert steps <= {_SEEDED}, f"restored {steps}, and step {_SEEDED} was there"
    aside = {name.rpartition("-")[0] for name in store.quarantined()}
    assert aside <= {scenario.damaged}, f"set aside {aside}"


HARNESS = Harness(cases=cases, run=run, sample=350)
