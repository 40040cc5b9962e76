"""How an attempt ended, in a word and in a sentence: judged by its journal, its job's record and what followed. Pure.

A program that leaves says so in its journal, its supervisor in the job's record. Where both fell silent at once, who
went on, where and when, tells the rest, as far as it can be told.
"""

from __future__ import annotations

import enum
import signal
from dataclasses import dataclass
from typing import Any

from outlast.errors import PREEMPTED
from outlast.store.journal import AttemptLog
from outlast.store.starts import Start, seconds

_SIGNALLED = 128
_KILLS = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT})
_BEAT_S = 15.0  # so much before its death a heartbeat may have been the last one
_LEAST_LEAD_S = 600.0  # a notice that comes no earlier before the deadline is meant for it,
_LEAD_SHARE = 0.1  # or one in the last tenth of the time,
_MOST_LEAD_SHARE = 0.5  # but never one in the first half


class Ending(enum.Enum):
    """How an attempt ended."""

    RUNNING = "running"
    DONE = "done"
    WALL_TIME = "wall-time"
    PREEMPTED = "preempted"
    ASKED = "told to leave"  # by a signal or a person
    LEFT = "left"  # on its own
    NODE = "node failure"
    KILLED = "killed"  # without notice
    CRASHED = "crashed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an attempt ran.

    Attributes:
        host, boot: the node, and its start.
        job: the batch job; empty without one.
        restarts: how often that was requeued before.
        previous: how the batch system says that the job's placing before this one ended; empty if it does not.
    """

    host: str = ""
    boot: str = ""
    job: str = ""
    restarts: int = 0
    previous: str = ""

    def is_requeue_of(self, other: Place) -> bool:
        """Whether the batch system placed the same job once more."""
        return bool(self.job) and self.job == other.job and self.restarts > other.restarts


_WORDS = {  # what batch systems call it -> what it is
    "NODE_FAIL": (Ending.NODE, "node failure"),
    "BOOT_FAIL": (Ending.NODE, "node failure"),
    "PREEMPTED": (Ending.PREEMPTED, "killed: preempted, without grace"),
    "TIMEOUT": (Ending.WALL_TIME, "killed at the wall-time limit"),
    "DEADLINE": (Ending.WALL_TIME, "killed at the wall-time limit"),
    "CANCELLED": (Ending.ASKED, "killed: the job was cancelled"),
    "OUT_OF_MEMORY": (Ending.KILLED, "killed: out of memory"),
}


def judge(
    log: AttemptLog | None,
    start: Start | None,
    *,
    here: Place,
    after: Place | None = None,
    died_s: float | None = None,
) -> tuple[Ending, str]:
    """Say how an attempt ended that does not live any more.

    Args:
        log: its journal; None if it never opened the store, or another program than ours kept its state.
        start: its start in the record of its job; None if there is no record.
        here: where it ran.
        after: where the next attempt ran; None if none came.
        died_s: when it gave its last sign of life, in seconds since the epoch.
    """
    ended = (log.last("ended") if log else None) or {}
    end = start.end if start else None
    outcome, status = ended.get("outcome", ""), end["status"] if end else None
    if outcome == "done" or (log and (log.last("saved") or {}).get("done")) or (status == 0 and log is None):
        return Ending.DONE, "done"
    if outcome == "preempted" or status == PREEMPTED:
        return _left(start, str(ended.get("reason", "")))
    if end is not None:
        return _ended(end["status"], start, str(ended.get("error", "")))
    if outcome:
        return Ending.CRASHED, f"{outcome} ({ended['error']})" if ended.get("error") else str(outcome)
    return _vanished(start, here, after, died_s)


def describe(status: int) -> str:
    """Name an exit status: `status 3`, `SIGSEGV`."""
    try:
        return signal.Signals(status - _SIGNALLED).name
    except ValueError:
        return f"status {status}"


def _told(start: Start | None) -> tuple[Ending, str] | None:
    """Return what told it to leave; None if nothing is known to."""
    if start is None:
        return None
    by_cause = {notice["cause"]: notice for notice in start.notices}
    if "preemption" in by_cause:
        return Ending.PREEMPTED, "preempted"
    if "deadline" in by_cause:
        return Ending.WALL_TIME, "wall-time limit"
    if "person" in by_cause:
        return Ending.ASKED, str(by_cause["person"].get("reason") or "a person asked for it")
    if by_cause:
        notice = next(iter(by_cause.values()))
        reason = str(notice.get("reason") or "a signal")
        return (Ending.WALL_TIME, f"wall-time limit ({reason})") if _is_late(notice, start) else (Ending.ASKED, reason)
    cause = (start.end or {}).get("cause")
    if cause == "deadline":
        return Ending.WALL_TIME, "wall-time limit"
    return (Ending.ASKED, "a person asked for it") if cause == "leave" else None


def _is_late(notice: dict[str, Any], start: Start) -> bool:
    """Whether a signal came so late that it stands for the end of the job's time."""
    at_s, deadline_s = seconds(notice), start.deadline_s
    if at_s is None or deadline_s is None:
        return False
    length_s = deadline_s - start.placed_s
    lead_s = min(max(_LEAST_LEAD_S, _LEAD_SHARE * length_s), _MOST_LEAD_SHARE * length_s)
    return deadline_s - at_s <= lead_s


def _left(start: Start | None, reason: str) -> tuple[Ending, str]:
    """It saved and left: because of what?"""
    told = _told(start)
    if told and ((start and start.notices) or not reason):
        return told[0], f"saved and left: {told[1]}"
    if reason:
        return Ending.ASKED, f"saved and left: {reason}"
    return Ending.LEFT, "saved and left"


def _ended(status: int, start: Start | None, error: str) -> tuple[Ending, str]:
    """It ended before its supervisor, with another status than 85 and not done."""
    told, said = _told(start), describe(status)
    is_killed = status - _SIGNALLED in _KILLS
    if told and is_killed:
        if status == _SIGNALLED + signal.SIGKILL:
            return told[0], f"killed by SIGKILL: {told[1]}; it did not leave in time"
        return told[0], f"ended by {said} without saving: {told[1]}"  # it had no ear for the notice, or not yet
    if is_killed:
        return Ending.KILLED, f"killed by {said} without notice"
    if status == 0:
        return Ending.LEFT, "left with status 0, and is not done"
    because = f" ({error})" if error else ""
    after = f" after a notice: {told[1]}" if told else ""
    return Ending.CRASHED, f"crashed with {said}{because}{after}"


def _vanished(start: Start | None, here: Place, after: Place | None, died_s: float | None) -> tuple[Ending, str]:
    """Nobody said anything at its end: neither the program nor, if there was one, its supervisor."""
    if told := _told(start):
        return told[0], f"killed: {told[1]}; it did not leave in time"
    is_requeue = after is not None and after.is_requeue_of(here)
    if after and is_requeue and (known := _WORDS.get(after.previous.strip().partition(" ")[0].upper())):
        return known
    deadline_s = start.deadline_s if start else None
    if deadline_s is not None and died_s is not None and died_s >= deadline_s - _BEAT_S:
        return Ending.WALL_TIME, "killed at the wall-time limit, without notice"
    if after and here.job and after.host == here.host and "" not in (here.boot, after.boot) and after.boot != here.boot:
        return Ending.NODE, f"node failure: {here.host} was started again"
    if after and is_requeue and after.host != here.host:
        return Ending.NODE, f"node failure, or preempted without grace: it went on on {after.host}"
    return Ending.KILLED, "killed without notice" if start else "killed or crashed"
