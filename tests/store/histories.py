"""Journals and job records as the tests of histories need them: told in seconds, written and read by the real code."""

from __future__ import annotations

from outlast.clock import iso
from outlast.format import jobs
from outlast.format.jobs import JobLog, JobName
from outlast.store import AttemptLog

T = 1_764_417_600.0  # when the story begins


def job(number="1", task="", restarts=0):
    return JobName.of("slurm", number, task, restarts)


def record(name: JobName, *events) -> JobLog:
    """A record of (second, event, members)."""
    return jobs.read(name, b"".join(jobs.line(T + at, event, fields) for at, event, fields in events))


def placed(at=0, *, host="n1", boot="b1", deadline=None, **fields):
    at_deadline = None if deadline is None else T + deadline
    return at, "placed", {"system": "slurm", "host": host, "boot": boot, "deadline": at_deadline, **fields}


def start(at=1, number=1, **fields):
    return at, "start", {"attempt": number, **fields}


def end(at, status, cause="itself", **fields):
    return at, "end", {"status": status, "cause": cause, **fields}


def notice(at, cause, reason="SIGUSR1"):
    return at, "notice", {"cause": cause, "reason": reason}


def decision(at, what, reason="because", **fields):
    return at, "decision", {"what": what, "reason": reason, **fields}


def journal(attempt, at, *events, name: JobName | None = None, host="n1", boot="b1", role="run") -> AttemptLog:
    """A journal whose claim is of second `at`; the events are (second, event, members)."""
    claim = {"store": "s", "attempt": attempt, "role": role, "host": host, "boot": boot, "pid": 9,
             "job": f"slurm:{name.number}" if name else "", "restart": name.restarts if name else 0}  # fmt: skip
    told = [(at, "claim", claim), *events]
    lines = [{"seq": seq, "at": iso(T + at_s), "event": kind, **more} for seq, (at_s, kind, more) in enumerate(told)]
    return AttemptLog(attempt=attempt, events=tuple(lines), damaged=0)


def saved(at, step, *, done=False):
    return at, "saved", {"step": step, "checkpoint": f"step-{step:09d}.a0001", "done": done}


def started(at=2):
    return at, "started", {"step": 0}


def restored(at, step):
    return at, "restored", {"step": step}


def reached(at, step):
    return at, "metrics", {"rows": [[step, {"loss": 1.0}]]}


def ended(at, outcome, **more):
    return at, "ended", {"outcome": outcome, **more}
