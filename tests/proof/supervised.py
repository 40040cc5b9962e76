"""Notices under `outlast run`: at any call of the program, at any turn of the supervisor; the supervisor killed.

The program is a real process. Whoever hears of it, it leaves with 85 and nothing is done twice; when the supervisor
dies the program saves and leaves on its own.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from outlast.errors import PREEMPTED
from outlast.supervise import Rules, supervise
from proof import notices, program
from proof.core import Harness

_EVERY = 12  # calls: a process each is dear
_CRASH_AT = 150  # in the first save
_TERMED = 128 + signal.SIGTERM
EVENTS = ("start:1", "end:1", "restart:1", "start:2", "end:2", "finish:1")


def cases() -> Iterator[str]:
    for event in EVENTS:
        yield f"event:{event}"
    for at in range(1, notices.calls_in("fresh") + 1, _EVERY):
        for who in ("supervisor", "both", "killed"):
            yield f"call:{who}:{at}"


def run(case: str, folder: Path) -> int:
    kind, what, at = case.split(":")
    status = program.forked(folder, lambda: sys.exit(_supervised(folder, kind, what, int(at))))
    code = os.waitstatus_to_exitcode(status)
    _await_end(folder)
    told = program.told_in(folder)
    was_started = any(line.startswith("pid") for line in told.lines)
    assert was_started or (what, at) == ("start", "1"), f"was not started: {program.said(folder)}"
    _check(kind, what, int(at), code, folder)
    looked = program.finish(folder)
    if kind == "call" and _heard_at(told) is not None:
        steps = program.told_in(folder).steps
        assert steps == tuple(range(program.STEPS)), f"did the steps {steps}"
    return looked


def _check(kind: str, what: str, at: int, code: int, folder: Path) -> None:
    told = program.told_in(folder)
    is_done = any(line.startswith("result") for line in told.lines)
    context = f"ended with {code}: {told.lines}: {program.said(folder)}"
    if kind == "event":
        allowed = {"start": (PREEMPTED, _TERMED), "finish": (0, -signal.SIGTERM)}.get(what, (PREEMPTED,))
        if (what, at) == ("end", 2):
            allowed = (0,)  # it was done
        assert code in allowed, context
        return
    if what == "killed":
        assert code == -signal.SIGKILL, context
    elif _heard_at(told) in range(program.STEPS):
        assert code == PREEMPTED, context
    else:
        assert code in (PREEMPTED, _TERMED) or (code == 0 and is_done), context
    if _heard_at(told) is not None and not is_done:
        found = program.newest(folder)
        assert found == len(told.steps), f"left at step {len(told.steps)}, restores {found}"


def _heard_at(told: program.Told) -> int | None:
    """How many steps were done as a notice came that the program's run could hear; None if none came."""
    found = [line.split() for line in told.lines if line.startswith("notice heard")]
    return int(found[0][2]) if found else None


def _supervised(folder: Path, kind: str, what: str, at: int) -> int:
    seen = 0

    def tell(event: str, text: str = "", **fields: object) -> None:
        nonlocal seen
        print(event, text, fields, file=sys.stderr)
        if kind == "event" and event == what:
            seen += 1
            if seen == at:
                os.kill(os.getpid(), signal.SIGTERM)

    crash = ["crash", str(_CRASH_AT)] if kind == "event" else [what, str(at)]
    command = [sys.executable, "-m", "proof.supervised", str(folder), *crash]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "OUTLAST_EVENTS": "quiet"}
    return supervise(command, env=env, rules=Rules(first_wait_s=0.05), tell=tell)


def _await_end(folder: Path) -> None:
    """Wait until a program whose supervisor was killed is gone too."""
    for line in program.told_in(folder).lines:
        if line.startswith("pid"):
            for _ in range(3000):
                if not _lives(line.split()[1]):
                    break
                time.sleep(0.02)
            else:
                raise AssertionError("the program outlived its supervisor by a minute")


def _lives(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def main() -> None:
    """Be the program: tell who we are, and strike at our call `at` in the first attempt."""
    folder, what, at = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    is_first = not program.told_in(folder).lines
    program.tell(folder, f"pid {os.getpid()}")

    def strike(number: int, _name: str) -> None:
        if not is_first or number != at:
            return
        if what == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        who = "heard" if notices.is_heard(signal.SIGTERM) else "unheard"
        program.tell(folder, f"notice {who} {len(program.told_in(folder).steps)}")
        os.kill(os.getppid(), signal.SIGKILL if what == "killed" else signal.SIGTERM)
        if what == "both":
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            _await_word(is_told=notices.is_heard(signal.SIGTERM))

    program.strike_at(strike)
    program.compute(folder)


def _await_word(*, is_told: bool) -> None:
    """Storage is slow: go on when the word has come, or would have."""
    for _ in range(6000 if is_told else 5):
        time.sleep(0.01)
        if notices.has_reason():
            return


HARNESS = Harness(cases=cases, run=run, sample=16)

if __name__ == "__main__":
    main()
