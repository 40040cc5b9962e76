"""Whether a job is to go on, seen over all the jobs of its run: a pure decision, with its reason.

Within one job `policy.restart` decides. Here it is what the allocation pays for: a run that gets no further must stop,
and one that is moved from node to node but gets further must not.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from outlast.errors import GAVE_UP
from outlast.policy.restart import Finish, GiveUp
from outlast.units import format_duration

_NEARLY_S, _NEARLY = 60.0, 0.6  # so much less is no time to start once more for: a notice comes before the end
_LENIENT = 3  # so much more patience with placings that were taken away: that says little about the program


class End(enum.Enum):
    """How a placing ended."""

    CRASH = "crash"
    TIME = "time"  # its time was over
    TAKEN = "taken"  # preempted, killed without notice, or its node failed
    ASKED = "asked"  # somebody told it to leave
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """An earlier placing of the run.

    Attributes:
        end: how it ended.
        progress: it brought the run further.
        lasted_s: how long its attempts ran, as far as that is known.
        attempts: how many times the command was started in it.
        anew: a person has started it, or submitted it: who mends something gets all tries again.
    """

    end: End
    progress: bool
    lasted_s: float
    attempts: int = 1
    anew: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """When a run is to stop, over all its jobs.

    Attributes:
        tries: after so many placings in a row without progress; three times as many if they were taken away.
        attempts: after so many attempts in all; None sets no bound.
        time_s: after so much time in all; None sets no bound.
    """

    tries: int = 3
    attempts: int | None = None
    time_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Continue:
    """Let it go on."""

    reason: str


Decision: TypeAlias = Continue | GiveUp | Finish


def decide(past: Sequence[Past], bounds: Bounds, *, anew: bool = False) -> Decision:
    """Decide whether to go on after these placings, oldest first; before the first there is nothing against it.

    Args:
        past: how they ended.
        bounds: when to stop.
        anew: a person has asked for the placing that is decided on.
    """
    if past and past[-1].end is End.DONE:
        return Finish(status=0, reason="done")
    spent_s = sum(one.lasted_s for one in past)
    if bounds.time_s is not None and spent_s >= bounds.time_s - min(_NEARLY_S, _NEARLY * bounds.time_s):
        spent, limit = format_duration(spent_s), format_duration(bounds.time_s)
        return GiveUp(status=GAVE_UP, reason=f"{spent} used, of {limit} allowed (--max-time)")
    attempts = sum(one.attempts for one in past)
    if bounds.attempts is not None and attempts >= bounds.attempts:
        return GiveUp(status=GAVE_UP, reason=f"{attempts} attempts made, of {bounds.attempts} allowed (--max-attempts)")
    fruitless = [] if anew else _fruitless(past)
    ours = [one for one in fruitless if one.end in (End.CRASH, End.TIME)]
    taken = [one for one in fruitless if one.end is End.TAKEN]
    if len(ours) >= bounds.tries:
        return GiveUp(status=GAVE_UP, reason=f"{len(ours)} jobs in a row made no progress; {_said(ours[-1])}")
    if len(taken) >= _LENIENT * bounds.tries:
        return GiveUp(
            status=GAVE_UP, reason=f"{len(taken)} jobs in a row were taken away before they made any progress"
        )
    return Continue(reason=f"{len(fruitless)} jobs in a row without progress" if fruitless else "it made progress")


def _fruitless(past: Sequence[Past]) -> list[Past]:
    """Return the placings since the last one that made progress, or that a person asked for, oldest first."""
    found: list[Past] = []
    for one in reversed(past):
        if one.progress:
            break
        found.insert(0, one)
        if one.anew:
            break
    return found


def _said(last: Past) -> str:
    if last.end is End.TIME:
        return "the last one's time was over before it had saved anything new: give it more time, or save more often"
    return "the last one crashed"
