"""The starts of the command, as the records of the jobs tell them: each with its notices, its end, what was decided."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from outlast.clock import from_iso
from outlast.format import jobs
from outlast.format.jobs import JobLog
from outlast.store.printed import Printed


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One start of the command by its supervisor.

    Attributes:
        log: the record that it stands in.
        began_s: when, in seconds since the epoch.
        since_s: since when its supervisor was about it: it may claim, verify and restore before it starts a command.
        until_s: when it had ended, at the latest; infinite if nothing came after it.
        deadline_s: until when it might run, by the last word; None if there was no end, or nobody knew.
        notices: what told it to leave.
        end: how it ended; None if the supervisor ended before it could say.
        decision: what was decided then.
        printed: where to read what it printed; None if that is not known.
    """

    log: JobLog
    began_s: float
    since_s: float = 0.0
    until_s: float = math.inf
    deadline_s: float | None = None
    notices: tuple[dict[str, Any], ...] = ()
    end: dict[str, Any] | None = None
    decision: dict[str, Any] | None = None
    printed: Printed | None = None

    @property
    def ended_s(self) -> float | None:
        """Return when it ended, in seconds since the epoch; None if that is not said."""
        return seconds(self.end) if self.end else None

    @property
    def placed_s(self) -> float:
        """Return since when its job ran."""
        return from_iso(self.log.began) or self.began_s


def seconds(event: dict[str, Any] | None, name: str = "at") -> float | None:
    """Return a time of an event in seconds since the epoch; None if it has none."""
    told = (event or {}).get(name)
    return from_iso(told) if isinstance(told, str) else None


def starts(logs: Iterable[JobLog]) -> tuple[Start, ...]:
    """Return all starts of the command, oldest first."""
    return tuple(sorted((start for log in logs for start in _starts(log)), key=lambda start: start.began_s))


def _starts(log: JobLog) -> Iterator[Start]:
    events = list(log.events)
    begins = [at for at, event in enumerate(events) if event["event"] == jobs.START]
    for at, after in itertools.pairwise([*begins, len(events)]):
        yield _start(log, events[:at], events[at:after], events[after] if after < len(events) else None)


def _start(
    log: JobLog, before: list[dict[str, Any]], its: list[dict[str, Any]], following: dict[str, Any] | None
) -> Start:
    """Make a start of its own events, those before it and the one after it."""
    again = next((at for at, event in enumerate(its) if event["event"] == jobs.PLACED), len(its))
    following = its[again] if again < len(its) else following  # another command of the same job
    its = its[:again]
    end = next((event for event in its if event["event"] == jobs.END), None)
    until_s = seconds(end or following)
    return Start(
        log=log,
        began_s=seconds(its[0]) or 0.0,
        since_s=seconds(before[-1] if before else its[0]) or 0.0,
        until_s=math.inf if until_s is None else until_s,
        deadline_s=_deadline_s(before, its),
        notices=tuple(event for event in its if event["event"] == jobs.NOTICE),
        end=end,
        decision=next((event for event in reversed(its) if event["event"] == jobs.DECISION), None),
        printed=_printed(before, end),
    )


def _printed(before: list[dict[str, Any]], end: dict[str, Any] | None) -> Printed | None:
    """Return what it printed: from where the start before it had ended, in the same file."""
    placed: dict[str, Any] = next((event for event in reversed(before) if event["event"] == jobs.PLACED), {})
    if not placed.get("output") or end is None or "printed_bytes" not in end:
        return None
    earlier = [event["printed_bytes"] for event in before if "printed_bytes" in event]
    return Printed(path=placed["output"], begin=max(earlier, default=0), end=end["printed_bytes"])


def _deadline_s(before: list[dict[str, Any]], its: list[dict[str, Any]]) -> float | None:
    """Return the last word on the deadline: of the job, or of this start alone if it was given less."""
    told = [event for event in before if event["event"] in (jobs.PLACED, jobs.DEADLINE)]
    told += [event for event in its[:1] if "deadline" in event]
    told += [event for event in its if event["event"] == jobs.DEADLINE]
    return seconds(told[-1], "deadline") if told else None
