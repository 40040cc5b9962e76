"""What became of a run, attempt by attempt: its journals and the records of its jobs seen together. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from outlast.format import jobs
from outlast.format.jobs import JobLog, JobName
from outlast.store.endings import Ending, Place, judge
from outlast.store.journal import METRICS, AttemptLog
from outlast.store.lease import RUN
from outlast.store.printed import Printed
from outlast.store.starts import Start, seconds, starts

_SKEW_S = 5.0  # clocks of two nodes may differ by so much,
_JUMP_S = 0.5  # and one may be set back by so much
_RECENT = 5  # attempts whose speed tells that of the next


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt, whatever told of it.

    Attributes:
        number: as in the store; None if it ended before it claimed one.
        role: `run`, or the verb of the command line that claimed it.
        host, pid, job: where it ran, as its claim has it.
        placing: the record of its job; None without one.
        partition: where the job was placed.
        placed_s: since when its job ran, in seconds since the epoch, as all times here; None without a record.
        queued_s: since when the job waited before that; None if that is not known.
        began_s: when it began; 0 if nothing readable says so.
        ended_s: when it ended: the last sign of life, if it could not say so; None while it lives.
        is_end_said: it could say so, or its supervisor could.
        work_s: when its first step began; None if it got none.
        from_step, to_step: the step that it began with, and the last one that it saved.
        reached: the last step that it is known to have made.
        saved: its saves: when each was durable, and its step.
        noticed: when it was told to leave.
        ending: how it ended, and
        how: the same in a sentence.
        status: the command's exit status; None if nobody could say.
        tail: the last lines of its output, if it crashed or was killed and they were recorded; else
        printed: where they can be read.
        steps_lost: steps that are known to have been made and have to be made again.
        lost_s: seconds of work that have to be done again.
        damaged: lines of its journal that are not what was written.
        outcome: the last word of its own journal.
    """

    number: int | None
    role: str
    host: str
    pid: int | None
    job: str
    placing: JobName | None
    partition: str
    placed_s: float | None
    queued_s: float | None
    began_s: float
    ended_s: float | None
    is_end_said: bool
    work_s: float | None
    from_step: int
    to_step: int
    reached: int
    saved: tuple[tuple[float, int], ...]
    noticed: tuple[float, ...]
    ending: Ending
    how: str
    status: int | None
    tail: tuple[str, ...]
    printed: Printed | None
    steps_lost: int
    lost_s: float
    damaged: int
    outcome: str

    @property
    def is_run(self) -> bool:
        """Whether it is one that computes."""
        return self.role == RUN


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All attempts of a run, oldest first, and what follows from them.

    Attributes:
        attempts: all of them.
        jobs: the records of its jobs, oldest first.
        starts: those of the command that the records tell of.
    """

    attempts: tuple[Attempt, ...]
    jobs: tuple[JobLog, ...]
    starts: tuple[Start, ...]

    @property
    def steps_lost(self) -> int:
        """Return how many steps are known to have been made in vain."""
        return sum(attempt.steps_lost for attempt in self.attempts)

    @property
    def lost_s(self) -> float:
        """Return for how long work was done in vain."""
        return sum(attempt.lost_s for attempt in self.attempts)

    @property
    def last(self) -> Attempt | None:
        """Return the last attempt that computes, or did; None if there is none."""
        return next((attempt for attempt in reversed(self.attempts) if attempt.is_run), None)

    @property
    def saved(self) -> tuple[float, int] | None:
        """Return when the last save was durable, and its step; None before the first one."""
        return next((attempt.saved[-1] for attempt in reversed(self.attempts) if attempt.saved), None)

    @property
    def decision(self) -> dict[str, Any] | None:
        """Return what was decided last, if nothing has begun since."""
        event = self.jobs[-1].events[-1] if self.jobs and self.jobs[-1].events else {}
        last = self.last
        is_last = event.get("event") == jobs.DECISION and (last is None or last.began_s <= (seconds(event) or 0.0))
        return event if is_last else None

    @property
    def deadline_s(self) -> float | None:
        """Return until when the attempt that lives may run; None if none does, or there is no end."""
        last = self.last
        if last is None or last.ending is not Ending.RUNNING or not self.starts:
            return None
        start = self.starts[-1]
        return start.deadline_s if start.log.name == last.placing else None

    @property
    def steps_per_s(self) -> float | None:
        """Return how fast the last attempts went, saves included; None if that cannot be told."""
        told = [
            (one.to_step - one.from_step, one.saved[-1][0] - one.work_s)
            for one in self.attempts
            if one.work_s is not None and one.saved and one.saved[-1][0] > one.work_s and one.to_step > one.from_step
        ]
        recent = told[-_RECENT:]
        return sum(steps for steps, _ in recent) / sum(length_s for _, length_s in recent) if recent else None

    def used_s(self, now_s: float) -> float:
        """Return for how long attempts have run, all together."""
        known = [one for one in self.attempts if one.is_run and one.began_s]
        return sum(max(0.0, (now_s if one.ended_s is None else one.ended_s) - one.began_s) for one in known)


def history(
    logs: Sequence[AttemptLog],
    records: Sequence[JobLog] = (),
    *,
    live: int = 0,
    alive: Collection[JobName] = (),
    signs: Mapping[int, float] | None = None,
) -> History:
    """Tell what became of a run.

    Args:
        logs: the journals of its attempts, oldest first.
        records: those of its jobs, oldest first.
        live: the attempt that lives; 0 if none does.
        alive: the placings whose supervisors live, as far as can be told.
        signs: when attempts that never said how they ended gave their last sign of life, in seconds since the epoch.
    """
    began = starts(records)
    claims = _matched(logs, began)
    told = [_Told(log=log, start=claims.get(log.attempt), lives=log.attempt == live) for log in logs]
    known = {id(start) for start in claims.values()}
    told += [
        _Told(log=None, start=start, lives=start is began[-1] and start.end is None and start.log.name in alive)
        for start in began
        if id(start) not in known
    ]
    told = _ordered(told)
    attempts = []
    for at, one in enumerate(told):
        after = next((other for other in told[at + 1 :] if other.is_run), None)
        attempts.append(_attempt(one, after, (signs or {}).get(one.log.attempt, 0.0) if one.log else 0.0))
    return History(attempts=tuple(attempts), jobs=tuple(records), starts=began)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What tells of an attempt: its journal, its start in the record of its job, or both."""

    log: AttemptLog | None
    start: Start | None
    lives: bool

    @property
    def claim(self) -> dict[str, Any]:
        return (self.log.first("claim") if self.log else None) or {}

    @property
    def is_run(self) -> bool:
        return bool(self.claim.get("role", RUN) == RUN)

    @property
    def began_s(self) -> float:
        """Return when it began; 0 if that cannot be read."""
        return seconds(self.claim) or (self.start.began_s if self.start else 0.0)

    @property
    def place(self) -> Place:
        """Return where it ran; its supervisor knows better than the program, which may be in a container."""
        claim, placed = self.claim, self.start.log.placed if self.start else {}
        name = self.start.log.name if self.start else None
        by_record = name is not None and name.is_batch
        return Place(
            host=str(placed.get("host") or claim.get("host", "")),
            boot=str(placed.get("boot") or claim.get("boot", "")),
            job=f"{name.system}:{name.number}" if name and by_record else str(claim.get("job", "")),
            restarts=name.restarts if name and by_record else _count(claim.get("restart")),
            previous=str(placed.get("previous", "")),
        )

    def requeued_s(self, after: _Told | None) -> float:
        """Return when its job was put back into the queue, where only that tells when it ended; else 0."""
        if self.log or after is None or after.start is None or not after.place.is_requeue_of(self.place):
            return 0.0
        return seconds(after.start.log.placed, "submitted") or 0.0


def _ordered(told: list[_Told]) -> list[_Told]:
    """Put attempts in order: those of the store by number, whatever their clocks said; others by time among them."""
    placed = []
    latest_s = 0.0
    for one in told:
        if one.log:
            latest_s = max(latest_s, one.began_s)
        placed.append((latest_s if one.log else one.began_s, one))
    return [one for _, one in sorted(placed, key=lambda pair: pair[0])]


def _count(found: Any) -> int:
    return found if type(found) is int else 0


def _matched(logs: Sequence[AttemptLog], began: Sequence[Start]) -> dict[int, Start]:
    """Return the start that each attempt came from. Of several programs of one start the last one has its end."""
    found: dict[int, Start] = {}
    owner: dict[int, int] = {}
    for log in logs:
        claim = log.first("claim")
        at_s = seconds(claim)
        if claim is None or at_s is None or claim.get("role", RUN) != RUN:
            continue
        near = [start for start in began if _is_within(start, claim, at_s)]
        if near:
            start = max(near, key=lambda one: _fit(one, claim, at_s))
            found.pop(owner.get(id(start), 0), None)
            found[log.attempt], owner[id(start)] = start, log.attempt
    return found


def _is_within(start: Start, claim: dict[str, Any], at_s: float) -> bool:
    """Whether a claim was made between a start and its end, by the clocks of the nodes that tell."""
    slack_s = _JUMP_S if claim.get("host") == start.log.placed.get("host") else _SKEW_S
    return _since_s(start, claim) - slack_s <= at_s <= start.until_s + slack_s


def _since_s(start: Start, claim: dict[str, Any]) -> float:
    """Return since when a claim may be of a start: a supervisor's own, for a program that saves files, comes before."""
    placed = start.log.placed
    is_its = (claim.get("host"), claim.get("pid")) == (placed.get("host"), placed.get("pid"))
    return min(start.since_s or start.began_s, start.began_s) if is_its else start.began_s


def _fit(start: Start, claim: dict[str, Any], at_s: float) -> tuple[bool, bool, bool, float]:
    """Say how well a claim fits a start: the same job, the same node, within its time; the later one."""
    name = start.log.name
    is_same_job = (claim.get("job"), claim.get("restart")) == (f"{name.system}:{name.number}", name.restarts)
    is_same_host = claim.get("host") == start.log.placed.get("host")
    return is_same_job, is_same_host, _since_s(start, claim) <= at_s <= start.until_s, start.began_s


def _attempt(one: _Told, after: _Told | None, sign_s: float) -> Attempt:
    log, start, claim = one.log, one.start, one.claim
    events = log.events if log else ()
    saves = tuple((seconds(e) or 0.0, e["step"]) for e in events if e["event"] == "saved")
    work = (log.last("restored") or log.first("started") if log else None) or {}
    end = start.end if start and start.end else {}
    from_step = work.get("step", 0)
    to_step = saves[-1][1] if saves else max(from_step, end.get("step", 0))
    reached = max(_reached(events), to_step)
    ended = log.last("ended") if log else None
    died_s = max([sign_s, *(seconds(e) or 0.0 for e in events[-1:])])
    if start:
        died_s = max([died_s, start.began_s, *(seconds(e) or 0.0 for e in start.notices), one.requeued_s(after)])
    if one.lives:
        ending, how = Ending.RUNNING, "running"
    elif not one.is_run:
        ending, how = Ending.LEFT, _outcome(ended, lives=False)
    else:
        ending, how = judge(log, start, here=one.place, after=after.place if after else None, died_s=died_s)
    ended_s = None if one.lives else _ended_s(ended, start, died_s, after)
    computes = one.is_run and not one.lives
    steps_lost = max(0, reached - to_step) if computes else 0
    placed = start.log.placed if start else {}
    return Attempt(
        number=log.attempt if log else None,
        role=str(claim.get("role", RUN)),
        host=one.place.host,
        pid=claim.get("pid") if log else placed.get("pid"),
        job=str(claim.get("job", "")),
        placing=start.log.name if start else None,
        partition=str(placed.get("partition", "")),
        placed_s=start.placed_s if start else None,
        queued_s=seconds(placed, "eligible") or seconds(placed, "submitted"),
        began_s=one.began_s,
        ended_s=ended_s,
        is_end_said=bool(ended or end),
        work_s=seconds(work),
        from_step=from_step,
        to_step=to_step,
        reached=reached,
        saved=saves,
        noticed=tuple(at_s for e in (start.notices if start else ()) if (at_s := seconds(e)) is not None),
        ending=ending,
        how=how + _given_up(start),
        status=end.get("status"),
        tail=tuple(end.get("tail", ())) if ending in (Ending.CRASHED, Ending.KILLED) else (),
        printed=start.printed if start and ending in (Ending.CRASHED, Ending.KILLED) else None,
        steps_lost=steps_lost,
        lost_s=_lost_s(one, ending, saves, steps_lost, ended_s) if computes else 0.0,
        damaged=log.damaged if log else 0,
        outcome=_outcome(ended, lives=one.lives),
    )


def _reached(events: Sequence[dict[str, Any]]) -> int:
    """Return the last step that a journal knows its attempt to have reached."""
    steps = [e["step"] for e in events if isinstance(e.get("step"), int)]
    steps += [row[0] for e in events if e["event"] == METRICS for row in e.get("rows", [])]
    return max(steps, default=0)


def _outcome(ended: dict[str, Any] | None, *, lives: bool) -> str:
    """Return the last word of a journal."""
    if not ended:
        return "running" if lives else "killed or crashed"
    outcome = f"{ended['outcome']}: {ended['reason']}" if ended.get("reason") else str(ended["outcome"])
    return f"{outcome} ({ended['error']})" if ended.get("error") else outcome


def _ended_s(ended: dict[str, Any] | None, start: Start | None, died_s: float, after: _Told | None) -> float:
    """Return when it ended: as it said, or its supervisor, or else the last sign of life before the next one began."""
    said_s = seconds(ended) or (start.ended_s if start else None)
    if said_s is not None:
        return said_s
    return min(died_s, after.began_s) if after and after.began_s else died_s


def _lost_s(
    one: _Told, ending: Ending, saves: Sequence[tuple[float, int]], steps_lost: int, ended_s: float | None
) -> float:
    """Return for how long it worked after its last save: that is to be done again, unless it saved and then left."""
    left = (one.log.last("ended") or {}).get("outcome") if one.log else None
    if ended_s is None or ending is Ending.DONE or (left == "preempted" and not steps_lost):
        return 0.0
    if one.log is None:
        made_none = one.start is not None and (one.start.end or {}).get("progress") is False
        return max(0.0, ended_s - one.began_s) if made_none else 0.0
    return max(0.0, ended_s - (saves[-1][0] if saves else one.began_s))


def _given_up(start: Start | None) -> str:
    decision = (start.decision if start else None) or {}
    return f"; gave up: {decision.get('reason', '')}" if decision.get("what") == "give-up" else ""
