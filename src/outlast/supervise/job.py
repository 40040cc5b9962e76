"""`outlast run` inside a job: what came before, whether to go on, and who goes on afterwards."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from outlast.backends import host
from outlast.clock import SYSTEM, from_iso
from outlast.errors import DONE, GAVE_UP, PREEMPTED, NothingError, OutlastError
from outlast.format import jobs
from outlast.format.jobs import JobLog, JobName
from outlast.policy import placings, restart
from outlast.policy.placings import Bounds, End, Past
from outlast.supervise import batch
from outlast.supervise.batch import Job
from outlast.supervise.events import Tell
from outlast.supervise.placing import Fate, Placing
from outlast.supervise.processes import is_above
from outlast.supervise.record import Record, output
from outlast.supervise.supervisor import STORE, supervise
from outlast.supervise.terms import KEEP, SUPERVISOR, Terms
from outlast.supervise.tree import environment

REOPEN = "OUTLAST_REOPEN"
_TASK = "%a"


def store_of(store: str | None, task: str) -> str | None:
    """Return the store of an array's task: its own below the array's, or where `%a` says. The path, made absolute."""
    if not store or "://" in store:
        return store or None
    if task and _TASK not in store:
        store = os.path.join(store, task)
    return os.path.abspath(store.replace(_TASK, task or "0"))


def run(
    command: Sequence[str | bytes],
    *,
    store: str | None,
    script: str | None,
    bounds: Bounds,
    rules: restart.Rules,
    total_s: float | None = None,
    time_s: float | None = None,
    grace_s: float | None = None,
    every: str = "auto",
    keep: int = KEEP,
    env: Mapping[str, str] | None = None,
    tell: Tell,
) -> int:
    """Run a command as `supervise` does, as one of the jobs of its run, if this is one.

    Args:
        command: the program and its arguments.
        store: the path of the run's store, of an array's all tasks; None if only the program knows it.
        script: the job script for a successor.
        bounds: when the run is to stop, over all its jobs.
        rules: when to start it again within this job.
        total_s: what all of it is expected to take.
        time_s: as `supervise` takes it.
        grace_s: likewise.
        every: how often to ask a program that saves files for a save: "auto", "5%" or a time.
        keep: how many checkpoints of such a program stay.
        env: the command's environment; None takes ours.
        tell: hears what happens.

    Returns:
        The exit status, in the batch system's language.
    """
    env = dict(environment() if env is None else env)
    outer = env.get(SUPERVISOR, "")
    is_inner = outer.isdecimal() and is_above(int(outer))  # then that one deals with the job, and has chosen the store
    found = None if is_inner else batch.find(env)
    placing = Placing(*found, SYSTEM, tell) if found else None
    path = store_of(store or env.get(STORE), placing.job.task if placing else "")
    if path is not None:
        env[STORE] = path
    work = _Work(placing, path, tell, script=script, bounds=bounds)
    status = work.refusal()
    if status is None:
        terms = Terms(store=path, every=every, keep=keep) if path and "://" not in path else None
        status = work.do(command, rules, env=env, total_s=total_s, time_s=time_s, grace_s=grace_s, terms=terms)
    return placing.status(status) if placing else status


class _Work:
    """One placing's work: its past, its attempts, its future."""

    def __init__(
        self, placing: Placing | None, store: str | None, tell: Tell, *, script: str | None, bounds: Bounds
    ) -> None:
        self._placing, self._store, self._script, self._bounds, self._tell = placing, store, script, bounds, tell
        self._step, self._is_done, self._logs = _look(store)
        self._name = _name(placing, self._logs)
        self._past = history(self._logs, self._step, self._name)
        self._began_s = SYSTEM.monotonic()
        self._is_anew = _is_anew(self._name, _successors(self._logs))

    def refusal(self) -> int | None:
        """Return the status with which to leave at once; None if there is something to do."""
        if (self._is_done or self._has_finished()) and os.environ.get(REOPEN) != "1":
            how = f"to go on where it has more to do now, set {REOPEN}=1; to start over, name a new store"
            self._tell("finish", f"this run is done: nothing to do ({how})", status=DONE, reason="done before")
            return DONE
        decision = placings.decide(self._past, self._bounds, anew=self._is_anew)
        if isinstance(decision, restart.GiveUp):
            with_record = self._record()
            with_record("give-up", f"gave up ({GAVE_UP}): {decision.reason}", status=GAVE_UP, reason=decision.reason)
            with_record.close()
            return GAVE_UP
        return None

    def _has_finished(self) -> bool:
        """Say whether this very job has ended with 0 before: batch systems start such a job again all the same."""
        mine = [log for log in self._logs if self._placing and self._name.is_again(log.name)]
        ends = [end for log in mine if (end := log.last(jobs.END)) is not None]
        return bool(ends) and ends[-1]["status"] == DONE

    def do(
        self,
        command: Sequence[str | bytes],
        rules: restart.Rules,
        *,
        env: Mapping[str, str],
        total_s: float | None,
        time_s: float | None,
        grace_s: float | None,
        terms: Terms | None,
    ) -> int:
        """Run it, and have somebody go on if it is not done."""
        record = self._record()
        try:
            if self._placing:
                self._placing.look()
            self._note_placed(record, command, total_s)
            status = supervise(
                command,
                env=env,
                time_s=time_s,
                grace_s=grace_s,
                rules=rules,
                tell=record,
                placing=self._placing,
                bound=self._bound(),
                terms=terms,
            )
            return self._afterwards(status, record)
        finally:
            record.close()

    def _afterwards(self, status: int, record: Record) -> int:
        cause = record.ended.get("cause")
        was_told = cause == restart.Cause.OUTSIDE.value and status not in (DONE, *restart.FINAL)
        if self._placing is None or not (status == PREEMPTED or was_told):
            return status  # what dies of a notice, still importing or killed in the end, is not done
        if cause == restart.Cause.LEAVE.value:  # a person asked the run to stop
            self._tell("hand-over", f"not started again; to go on: outlast submit, or {self._placing.system} itself")
            return DONE  # some sites have 85 requeued, whatever was asked for
        decision = placings.decide([*self._past, self._this(record)], self._bounds)
        if isinstance(decision, restart.GiveUp):
            record("give-up", f"gave up ({GAVE_UP}): {decision.reason}", status=GAVE_UP, reason=decision.reason)
            return GAVE_UP
        came = self._placing.hand_over(self._script, lambda what: record.write(jobs.DECISION, what=what))
        text = f"not started again: {came.reason}" if came.fate is Fate.NONE else came.reason
        self._tell("hand-over", text, fate=came.fate.value, reason=came.reason, successor=came.successor)
        record.write(jobs.DECISION, what=came.fate.value, reason=came.reason, successor=came.successor)
        if came.fate is Fate.BACK:
            return PREEMPTED  # some systems put it back for that alone
        return DONE if came.fate is Fate.SUCCESSOR else status  # else a site that has 85 requeued has two go on

    def _record(self) -> Record:
        return Record(self._store, self._name, self._tell)

    def _note_placed(self, record: Record, command: Sequence[str | bytes], total_s: float | None) -> None:
        placing, me = self._placing, host.me()
        job, sight = (placing.job, placing.sight) if placing else (None, None)
        record.write(
            jobs.PLACED,
            system=self._name.system,
            job=job.id if job else "",
            task=job.task if job else "",
            restarts=self._name.restarts,
            partition=job.partition if job else "",
            host=me.host,
            pid=me.pid,
            boot=me.boot,
            submitted=sight.submitted if sight else None,
            eligible=sight.eligible if sight else None,
            began=SYSTEM.wall(),
            deadline=placing.deadline if placing else None,
            command=[os.path.basename(os.fsdecode(command[0]))],  # of its arguments none: one may be a secret
            output=output()[0],
            total_s=total_s,
            step=self._step,
        )

    def _bound(self) -> float | None:
        """Return when the time for all jobs together is over."""
        self._began_s = SYSTEM.monotonic()
        if self._bounds.time_s is None:
            return None
        return SYSTEM.wall() + max(0.0, self._bounds.time_s - sum(one.lasted_s for one in self._past))

    def _this(self, record: Record) -> Past:
        ended = End.TAKEN if self._placing and self._placing.is_preempted else End.TIME
        progress = _is_further(self._step, _look(self._store)[0], reported=record.progressed)
        return Past(
            end=ended,
            progress=progress,
            lasted_s=max(record.lasted_s, SYSTEM.monotonic() - self._began_s),  # starting took its time, too
            attempts=record.attempts,
            anew=self._is_anew,
        )


def _name(placing: Placing | None, logs: Sequence[JobLog]) -> JobName:
    if placing is None or placing.system == jobs.LOCAL:
        return JobName.local(host.me().host, os.getpid(), SYSTEM.wall())
    job = placing.job
    name = JobName.of(placing.system, _number(job), job.task, job.restarts)
    if job.counted:
        return name
    before = [log.name.restarts for log in logs if (log.name.system, log.name.number) == (name.system, name.number)]
    return replace(name, restarts=max([name.restarts, *(restarts + 1 for restarts in before)]))


def _number(job: Job) -> str:
    """Return the number of the job that a task is of: 12_7, 12.7 and 12[7].server are of 12, 12 and 12.server."""
    if not job.task:
        return job.id
    return job.id.removesuffix(f"_{job.task}").removesuffix(f".{job.task}").replace(f"[{job.task}]", "")


def _look(store: str | None) -> tuple[int | None, bool, Sequence[JobLog]]:
    """Return the run's newest step, whether it is done, and the records of its jobs, as far as there are any."""
    if store is None:
        return None, False, ()
    from outlast.backends import Posix
    from outlast.store import Store, job_logs

    logs: Sequence[JobLog] = ()
    try:
        logs = job_logs(Posix(store))
        opened = Store(store)
        names = opened.checkpoints()
        return names[0].step if names else 0, opened.finished() is not None, logs
    except NothingError:  # it has not saved yet, or stores elsewhere
        return 0, False, logs
    except OutlastError:  # whatever it is, the program will meet it, and say it better
        return None, False, logs


def history(logs: Sequence[JobLog], step: int | None, but: JobName) -> list[Past]:
    """Return how the placings of a run ended, oldest first.

    Args:
        logs: their records.
        step: the newest step that is saved now.
        but: the placing that is not over.
    """
    over = [log for log in logs if log.name != but and log.placed]
    begun = [*(log.placed.get("step") for log in over), step]
    steps, sent = itertools.pairwise(begun), _successors(logs)
    return [_past(log, was, now, anew=_is_anew(log.name, sent)) for log, (was, now) in zip(over, steps, strict=True)]


def _successors(logs: Sequence[JobLog]) -> frozenset[str]:
    """Return the numbers of the jobs that were submitted by jobs."""
    decisions = (event for log in logs for event in log.events if event["event"] == jobs.DECISION)
    return frozenset(str(event["successor"]) for event in decisions if event.get("successor"))


def _is_anew(name: JobName, successors: frozenset[str]) -> bool:
    """Say whether a person asked for a placing: the batch system did not put it back, nor did a job send it."""
    return name.restarts == 0 and name.number not in successors


def _past(log: JobLog, was: int | None, now: int | None, *, anew: bool) -> Past:
    ends = [event for event in log.events if event["event"] == jobs.END]
    progress = _is_further(was, now, reported=any(event.get("progress") for event in ends))
    starts = sum(event["event"] == jobs.START for event in log.events)
    lasted_s = sum(float(event.get("lasted_s", 0.0)) for event in ends)
    if starts > len(ends):  # cut off: it ran at least until the last that it wrote
        began, last = from_iso(log.events[0]["at"]), from_iso(log.events[-1]["at"])
        lasted_s = max(lasted_s, (last - began) if began is not None and last is not None else 0.0)
    return Past(end=_end(log, ends, starts), progress=progress, lasted_s=lasted_s, attempts=starts, anew=anew)


def _is_further(was: int | None, now: int | None, *, reported: bool) -> bool:
    """Say whether a run got further: by its store, if it saves there; else by what its program reported."""
    return now > was if was is not None and now else reported


def _end(log: JobLog, ends: Sequence[Mapping[str, Any]], starts: int) -> End:
    if starts > len(ends) or not ends:
        return End.TAKEN
    causes = {event.get("cause") for event in log.events if event["event"] == jobs.NOTICE}
    last = ends[-1]
    if last["status"] == DONE:
        return End.DONE
    if last.get("cause") == restart.Cause.LEAVE.value:
        return End.ASKED
    if "preemption" in causes:
        return End.TAKEN
    if last["status"] == PREEMPTED:
        return End.TIME
    return End.CRASH
