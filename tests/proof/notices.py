"""A notice at every storage call of a program: once, twice, over hanging storage, with a kill behind it.

Once or twice at a time: the program saves and leaves with 85, and no step is done twice. Again a second later: it
leaves at once, though the storage hangs. Killed: as by any kill. Each time the program is then started again until it
is done, and comes to the result of one that nobody disturbed.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.util import Finalize
from pathlib import Path

from outlast.errors import PREEMPTED
from outlast.run import keeper, notice
from proof import core, program
from proof.core import Harness

SIGNALS = {"TERM": signal.SIGTERM, "USR1": signal.SIGUSR1, "INT": signal.SIGINT}
_KILLED_AFTER = (0, 1, 3, 10)  # calls between the notice and the kill
_INTERRUPTED = 2  # the steps that are done as it comes
_PATIENCE = 400  # how often a person signals again before giving up


def _fresh(folder: Path) -> None:
    del folder


def _left(folder: Path) -> None:
    """The first attempt was given notice in its first save."""

    def leave(number: int, name: str) -> None:
        if len(program.told_in(folder).steps) >= _INTERRUPTED:
            os.kill(os.getpid(), signal.SIGTERM)

    status = program.forked(folder, lambda: program.compute(folder), strike=leave)
    assert os.waitstatus_to_exitcode(status) == PREEMPTED, program.said(folder)


SEEDS: dict[str, Callable[[Path], None]] = {"fresh": _fresh, "again": _left}
KINDS = ("once", "double", "late", *(f"kill+{d}" for d in _KILLED_AFTER))


@functools.cache
def _seeded(name: str) -> Path:
    made = Path(tempfile.mkdtemp(prefix="outlast-seed-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    Finalize(None, shutil.rmtree, args=(made, True), exitpriority=0)  # also in a pool's process; not in forked children
    SEEDS[name](made)
    return made


@functools.cache
def calls_in(name: str) -> int:
    """How many storage calls an undisturbed attempt makes."""
    with core.folder() as folder:
        copy = _prepared(name, folder)
        counted = copy / "counted"

        def count(number: int, _call: str) -> None:
            counted.write_text(str(number))

        assert program.forked(copy, lambda: program.compute(copy), strike=count) == 0, program.said(copy)
        return int(counted.read_text())


def _prepared(name: str, folder: Path) -> Path:
    to = folder / "case"
    shutil.copytree(_seeded(name), to)
    return to


def cases() -> Iterator[str]:
    for name in SEEDS:
        for at in range(1, calls_in(name) + 1):
            for kind in KINDS:
                for word in SIGNALS if kind == "once" else ("TERM",):
                    yield f"{name}:{kind}:{word}:{at}"
            yield f"{name}:free:TERM:{at}"


def is_heard(number: int) -> bool:
    """Whether a run has taken over this signal."""
    return _heard_by(number) is not None


def has_reason() -> bool:
    """Whether the run knows that it is to leave."""
    by = _heard_by(signal.SIGTERM)
    return by is not None and by.reason is not None


def _heard_by(number: int) -> notice.Notice | None:
    owner = getattr(signal.getsignal(number), "__self__", None)
    return owner if isinstance(owner, notice.Notice) else None


class _Fault:
    """Sends the signals of a case as its call is reached, and tells in the file who was there to hear them."""

    def __init__(self, folder: Path, kind: str, number: int, at: int) -> None:
        self.folder, self.kind, self.number, self.at = folder, kind, number, at
        self.kill_at = at + int(kind.partition("+")[2]) if kind.startswith("kill") else 0

    def __call__(self, call: int, name: str) -> None:
        if call == self.at:
            self._notify()
        if call == self.at + 1 and self.kind == "double":
            self._send()
        if self.kill_at and call == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def _notify(self) -> None:
        is_ours = is_heard(self.number)
        is_kept = any(thread.name == "outlast-keeper" for thread in threading.enumerate())
        steps = len(program.told_in(self.folder).steps)
        who = "kept" if is_ours and is_kept else "heard" if is_ours else "unheard"
        program.tell(self.folder, f"notice {who} {steps}")
        self._send()
        if self.kind == "late" and is_ours and is_kept:
            self._hang()

    def _hang(self) -> None:
        """The storage answers no more; the signal comes again and again."""
        for _ in range(_PATIENCE):
            time.sleep(0.02)
            self._send()
        program.tell(self.folder, "patience is over")

    def _send(self) -> None:
        os.kill(os.getpid(), self.number)


def _compute(folder: Path, kind: str) -> None:
    """The program, with the second between two signals shortened where they are to be two, else without end."""
    notice.AGAIN_AFTER_S = 0.05 if kind == "late" else 1000.0
    keeper._BEAT_S = 0.01
    program.compute(folder, waits="no" if kind == "free" else "aloud")


def run(case: str, folder: Path) -> int:
    name, kind, word, at = case.split(":")
    number, where = SIGNALS[word], _prepared(name, folder)
    fault = _Fault(where, kind, number, int(at))
    code = os.waitstatus_to_exitcode(program.forked(where, lambda: _compute(where, kind), strike=fault))
    after = program.told_in(where)
    _, heard, steps_then = next((line.split() for line in after.lines if line.startswith("notice")), ("", "never", "0"))
    assert "patience is over" not in after.lines, "signalled again and again, and did not leave"
    _check_exit(kind, heard, code, number, where)
    least = program.STEPS - (kind == "free")  # nobody waits for the saver: the last step may end before the signal
    if heard in ("heard", "kept") and int(steps_then) < least and not kind.startswith(("kill", "late")):
        assert code == PREEMPTED, f"ended with {code}, though the notice came after {steps_then} steps"
    if kind in ("once", "double", "free") and code == PREEMPTED:
        found = program.newest(where)
        assert found == len(after.steps), f"left with 85 at step {len(after.steps)}, restores {found}"
    looked = program.finish(where)
    if not kind.startswith(("kill", "late")) and heard != "unheard":
        steps = program.told_in(where).steps
        assert steps == tuple(range(program.STEPS)), f"did the steps {steps}"
    return looked


def _check_exit(kind: str, heard: str, code: int, number: int, where: Path) -> None:
    """Say whether the program ended as it should: by what it had set up when the notice came."""
    context = f"{kind}, {heard}: ended with {code}: {program.said(where)}"
    is_done = any(line.startswith("result") for line in program.told_in(where).lines)
    if kind.startswith("kill") and code == -signal.SIGKILL:
        return
    if (
        kind == "double" and heard in ("heard", "kept") and code == -number
    ):  # the second came when all was saved and the handlers were given back
        assert program.newest(where) == program.STEPS, context
        return
    if heard in ("unheard", "never"):
        assert code in (-number, 130, program.BUG, PREEMPTED) or (code == 0 and is_done), context
    elif kind == "late" and heard == "kept":
        assert code == 128 + number, context
    else:
        assert code == PREEMPTED or (code == 0 and is_done), context


HARNESS = Harness(cases=cases, run=run, sample=110)
