"""Faults that strace injects into the kernel's own calls: the ground truth, which no seam in the program can bend.

What the seam (`outlast.backends.Syscalls`) does not cover is struck too: the second half of a listing, a look at the
store's own directory. `tests/trust/test_seam.py` shows that nothing that changes the store is among it.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from outlast.backends import Syscalls
from proof import core
from proof.core import Harness
from proof.judge import acknowledged, judge
from proof.scenarios import SCENARIOS, Report, prepared
from proof.tracing import Call, traced
from storekit import BUG

_CHANGES = {
    *("openat", "writev", "pwrite64", "fallocate", "ftruncate", "fsync"),
    *("linkat", "mkdirat", "renameat"),
}
_WAITS = {"openat", "writev", "pwrite64", "preadv2", "fsync", "close"}
_ERRORS = ("EIO", "ENOSPC", "EDQUOT", "ESTALE")


@functools.cache
def calls_seen(name: str) -> list[Call]:
    """The calls of an undisturbed act, all of them."""
    with core.folder() as made:  # as deep as that of a case: each directory above is looked at
        path = prepared(name, made)
        seen = traced(lambda report: SCENARIOS[name].act(path, Syscalls(), report), made)
        assert seen.status == 0, seen.told
        return [Call(name=call.name, text=call.text.replace(str(made), "/FOLDER")) for call in seen.calls]


def cases() -> Iterator[str]:
    for name in SCENARIOS:
        if name == "crowd":  # strace counts the calls of each thread by themselves
            continue
        count: Counter[str] = Counter()
        for call in calls_seen(name):
            count[call.name] += 1
            if "/FOLDER" in call.text:
                yield from (f"{name}:{call.name}:{what}:{count[call.name]}" for what in _faults(call.name))


def _faults(call: str) -> Iterator[str]:
    """A signal comes before the call; a call that is refused, or answered for, is not carried out."""
    yield "SIGKILL"
    if call not in ("lseek", "fcntl"):
        yield from _ERRORS if call in _CHANGES else _ERRORS[:1]
    if call in _WAITS:
        yield "EINTR"
    if call == "pwrite64":
        yield "took-0"  # that it took some, and did not, is seen by the digests only
    if call == "writev":
        yield "took-0"  # the file system takes nothing, and says so
        yield "took-1"  # ... and says that it took a byte


def run(case: str, folder: Path) -> None:
    name, call, what, at = case.split(":")
    scenario, path = SCENARIOS[name], prepared(name, folder)

    def act(report: Report) -> None:
        scenario.act(path, Syscalls(), report)

    how = f"signal={what}" if what == "SIGKILL" else f"error={what}" if what[0] == "E" else f"retval={what[-1]}"
    seen = traced(act, folder, "-e", f"trace={call}", "-e", f"inject={call}:{how}:when={at}")
    if what == "SIGKILL":
        assert os.WIFSIGNALED(seen.status), f"not killed: {seen.told!r}"
    else:
        _check_end(seen.status, seen.told, scenario.final)
        struck = [one for one in seen.calls if "(INJECTED)" in one.text]
        assert len(struck) == 1, f"struck {len(struck)} times"
        assert str(folder) in struck[0].text, f"struck elsewhere: {struck[0].text}"
    judge(path, seen.told, scenario)


def _check_end(status: int, told: bytes, final: int) -> None:
    assert os.WIFEXITED(status), f"died of a signal: {status}"
    code = os.WEXITSTATUS(status)
    assert code != BUG, f"not an error of outlast's own: {told.decode()}"
    if code == 0:
        seen = acknowledged(told)
        assert seen is None or seen == final, f"ended well, but acknowledged only {seen}"


HARNESS = Harness(cases=cases, run=run, sample=28, tools=("strace",))
