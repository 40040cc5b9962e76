"""Whether to start a command again after an attempt has ended: a pure decision, with its reason.

What an attempt did is told by whoever ran it; nothing here starts, waits or reads. The rules are those of
spec/process-v1.md, section 6.
"""

from __future__ import annotations

import enum
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from outlast.errors import BUSY, DAMAGE, DONE, GAVE_UP, NOTHING, PREEMPTED, USAGE

CANNOT_RUN, NOT_FOUND = 126, 127
FINAL = frozenset({USAGE, DAMAGE, NOTHING, BUSY, GAVE_UP, CANNOT_RUN, NOT_FOUND})
_SIGNALLED = 128
LEAST_WORK_S = 1.0


class Cause(enum.Enum):
    """Why an attempt ended."""

    ITSELF = "itself"  # done, crashed, or left on its own
    DEADLINE = "deadline"  # told to leave, or killed, because the time we gave it was over
    OUTSIDE = "outside"  # told to leave by someone else: who will start it again is their business
    LEAVE = "leave"  # left for good: the program said that it is not to be started again


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How an attempt ended.

    Attributes:
        status: as a shell gives it: 128 + the number of the signal that ended it.
        progress: it brought the run further, see `made_progress`.
        lasted_s: seconds from its start to its end.
    """

    status: int
    progress: bool
    cause: Cause = Cause.ITSELF
    lasted_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """When to stop.

    Attributes:
        tries: give up after so many attempts in a row without progress; 1 never restarts after a crash.
        attempts: start no more than so many in all; None sets no bound.
        first_wait_s: wait so long after a crash; each further one without progress doubles it.
        longest_wait_s: but never longer.
    """

    tries: int = 3
    attempts: int | None = None
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a program told of its progress: its last durable commit."""

    store: str
    attempt: int
    step: int
    done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Start it again."""

    after_s: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """Starting again is of no use: leave with `status` (86)."""

    status: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """It is over, or others go on: leave with the command's own `status`."""

    status: int
    reason: str


Decision: TypeAlias = Restart | GiveUp | Finish


def made_progress(report: Report | None, reached: Mapping[str, int], status: int, lasted_s: float) -> bool:
    """Say whether an attempt made progress.

    Args:
        report: the last that it reported; None if it reported nothing.
        reached: the last step reported before it, by store.
        status: its exit status: all that there is to go by for a program that never reports, but for
        lasted_s: how long it took; what says 85 at once has done nothing.
    """
    if report is not None:
        return report.step > reached.get(report.store, -1)
    return status == PREEMPTED and not reached and lasted_s >= LEAST_WORK_S


def decide(history: Sequence[Attempt], rules: Rules) -> Decision:
    """Decide after an attempt.

    Args:
        history: all attempts so far, oldest first; at least one.
        rules: when to stop.
    """
    assert history, "there is nothing to decide before the first attempt has ended"
    last = history[-1]
    final = _is_over(last)
    if final:
        return Finish(status=last.status, reason=final)
    if rules.attempts is not None and len(history) >= rules.attempts:
        return Finish(
            status=last.status, reason=f"{describe(last.status)}; that was the last of {len(history)} attempts"
        )
    fruitless = _fruitless(history)
    if rules.tries == 1 and (fruitless or _is_crash(last)):
        return Finish(status=last.status, reason=f"{describe(last.status)}; not to be tried again")
    if fruitless >= rules.tries:
        return GiveUp(status=GAVE_UP, reason=f"{fruitless} attempts in a row made no progress, {_ending(last)}")
    wait_s = _wait_s(last, fruitless, rules)
    return Restart(after_s=wait_s, reason=_why_again(last, fruitless, wait_s))


def describe(status: int) -> str:
    """Name an exit status: `status 3`, `status 137 (SIGKILL)`."""
    try:
        return f"status {status} ({signal.Signals(status - _SIGNALLED).name})"
    except ValueError:
        return f"status {status}"


def _is_over(last: Attempt) -> str:
    """Return why no further attempt is wanted; empty if one is."""
    if last.status == DONE:
        return "done"
    if last.cause is Cause.OUTSIDE:
        return f"{describe(last.status)} after a notice from outside"
    if last.cause is Cause.LEAVE:
        return f"{describe(last.status)}; the program asked not to be started again"
    if last.status in FINAL:
        return f"{describe(last.status)}: starting again would not change it"
    return ""


def _is_crash(last: Attempt) -> bool:
    return last.cause is Cause.ITSELF and last.status != PREEMPTED


def _fruitless(history: Sequence[Attempt]) -> int:
    """Count the attempts without progress since the last one that made some."""
    count = 0
    for attempt in reversed(history):
        if attempt.progress:
            break
        count += 1
    return count


def _wait_s(last: Attempt, fruitless: int, rules: Rules) -> float:
    if not _is_crash(last) and not fruitless:
        # at once, but a command that says 85 without doing anything must not spin
        return 0.0 if last.cause is Cause.DEADLINE else max(0.0, rules.first_wait_s - last.lasted_s)
    doublings = min(max(0, fruitless - 1), 64)
    return min(rules.longest_wait_s, rules.first_wait_s * 2.0**doublings)


def _ending(last: Attempt) -> str:
    """Say how it ended, in a clause."""
    if last.cause is Cause.DEADLINE:
        left = "saved and left" if last.status == PREEMPTED else f"ended with {describe(last.status)}"
        return f"the last one {left} at its deadline"
    if last.status == PREEMPTED:
        return "the last one left with status 85"
    return f"the last one ended with {describe(last.status)}"


def _why_again(last: Attempt, fruitless: int, wait_s: float) -> str:
    gain = f"{fruitless} without progress" if fruitless else "it made progress"
    if last.cause is Cause.DEADLINE:
        how = f"its time was over ({describe(last.status)})"
    elif last.status == PREEMPTED:
        how = "it saved and asked to be run again"
    else:
        how = f"it crashed with {describe(last.status)}"
    when = f"again in {wait_s:.3g} s" if wait_s else "again at once"
    return f"{how}, {gain}: {when}"
