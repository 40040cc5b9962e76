"""Slurm, from 20.11 on: what its commands say is tried, never concluded from a version."""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import ClassVar

from outlast.supervise.batch.client import Answer, Ask, asker
from outlast.supervise.batch.options import Options
from outlast.supervise.batch.script import comment, quoted
from outlast.supervise.batch.system import Job, Order, Refused, Sight, Unreachable

_EPOCH = {"SLURM_TIME_FORMAT": "%s"}  # else the user's own format, or local time without a zone
_FIELD = re.compile(r"(?:^|\s)(\w[\w:/]*)=(\S*)")
_CANCELLED = ("CANCELLED", "REVOKED")
_WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT")
_ENDING = "COMPLETING"  # hides whether it was cancelled; but only then it ends before its time is over
_FOREVER_S = 365 * 24 * 3600  # a job without a limit is said to end in a year
_LIMIT = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)")
_LATE_S = 30  # it is signalled when it has half a minute more than asked for, at most a minute early
_MOST_PARTS = 3
_LEAST_LEAD_S, _MOST_LEAD_S = 10, 65_535
_TEMPORARY = ("Socket timed out", "Unable to contact", "Connection refused", "Zero Bytes", "not responding")
_AGAIN = ("pending requeue", "already pending", "Job is pending")


class Slurm:
    """SchedMD's Slurm Workload Manager. Source: its manual pages, and the code where they are silent."""

    name: ClassVar[str] = "slurm"
    submits: ClassVar[str] = "sbatch"
    signs: ClassVar[tuple[str, ...]] = ("sbatch",)
    warns: ClassVar[bool] = True

    def __init__(self, ask: Ask | None = None) -> None:
        self._ask, self._send = ask or asker(_EPOCH), ask or asker(None)

    # -- inside a job ------------------------------------------------------------------------------------

    def find(self, env: Mapping[str, str]) -> Job | None:
        number = env.get("SLURM_JOB_ID", "")
        if not number.isdecimal():
            return None
        task, of = env.get("SLURM_ARRAY_TASK_ID", ""), env.get("SLURM_ARRAY_JOB_ID", "")
        is_task = task.isdecimal() and of.isdecimal()
        return Job(
            system=self.name,
            id=f"{of}_{task}" if is_task else number,  # never the bare number of an array: that is all its tasks
            task=task if is_task else "",
            restarts=_whole(env.get("SLURM_RESTART_COUNT", "")),  # unset on the first run, up to 26.05
            partition=env.get("SLURM_JOB_PARTITION", ""),
            folder=env.get("SLURM_SUBMIT_DIR", ""),
            deadline=_time(env.get("SLURM_JOB_END_TIME", "")),
        )

    def see(self, job: Job) -> Sight:
        fields = self._fields(job)
        state, ends = fields.get("JobState", ""), _time(fields.get("EndTime", ""))
        limit_s = _limit_s(fields.get("TimeLimit", ""))
        full_s = (_time(fields.get("StartTime", "")) or 0.0) + limit_s
        preempted = _time(fields.get("PreemptTime", "")) is not None
        is_back = _whole(fields.get("Restarts", "")) > job.restarts or state in _WAITING
        is_cut = state == _ENDING and not preempted and ends is not None and ends < full_s
        return Sight(
            deadline=None if limit_s >= _FOREVER_S and ends is not None and ends >= full_s else ends,
            preempted=preempted,
            cancelled=not is_back and (is_cut or state.startswith(_CANCELLED)),
            requeued=is_back,
            requeues={"0": False, "1": True}.get(fields.get("Requeue", "")),
            submitted=_time(fields.get("SubmitTime", "")),
            eligible=_time(fields.get("EligibleTime", "")),
            output=fields.get("StdOut", ""),
        )

    def requeue(self, job: Job) -> None:
        answer = self._ask(["scontrol", "requeue", job.id])
        if answer.status != 0 and not any(sign in answer.said for sign in _AGAIN):
            raise _refusal(answer)

    def status(self, status: int) -> int:
        return status

    # -- new jobs ----------------------------------------------------------------------------------------

    def script(self, order: Order) -> str:
        given = Options(order.options)
        lines = ["#!/bin/bash", *map(comment, order.notes)]
        if order.options:
            lines.append(f"#SBATCH {' '.join(_quoted(option) for option in order.options)}")
        lines += [f"#SBATCH {option}" for option in _ours(order, given)]
        lines += ["", f"exec {shlex.join(order.command)}"]
        return "\n".join(lines) + "\n"

    def submit(self, script: str, options: Sequence[str] = (), *, after: Job | None = None) -> str:
        waits = [f"--dependency=afterany:{after.id}"] if after else []
        answer = self._send(["sbatch", "--parsable", *waits, *options, script])
        number = answer.text.strip().split("\n")[-1].split(";")[0]
        if answer.status != 0:
            raise _refusal(answer)
        if not number.isdecimal():
            raise Unreachable(f"sbatch answered {number!r}, which is no job's number")
        return number

    def successor(self, job: Job) -> str | None:
        answer = self._ask(["squeue", "--noheader", f"--user={os.getuid()}", "--format=%A %F_%K %E"])
        if answer.status != 0:
            raise Unreachable(answer.said)
        rows = [row for row in (line.split(maxsplit=2) for line in answer.text.splitlines()) if row]
        if not any(job.id in row[:2] for row in rows):
            raise Unreachable("squeue lists not even our own job")  # a list to believe nothing of
        wanted = re.compile(rf"afterany:{re.escape(job.id)}(?:_\*)?(?![\w])")
        return next((row[0] for row in rows if wanted.search(row[-1])), None)

    # -- its answers -------------------------------------------------------------------------------------

    def _fields(self, job: Job) -> dict[str, str]:
        answer = self._ask(["scontrol", "--oneliner", "show", "job", job.id])
        if answer.status != 0:
            raise Unreachable(answer.said or "scontrol knows nothing of the job")
        lines = [dict(_FIELD.findall(line)) for line in answer.text.splitlines()]
        lines = [fields for fields in lines if "JobState" in fields]
        if not lines:
            raise Unreachable("scontrol knows nothing of the job")
        return lines[-1]


def _quoted(text: str) -> str:
    """Quote for a directive, where sbatch takes a backslash for an escape within single quotes too."""
    return quoted(text.replace("\\", "\\\\"))


def _ours(order: Order, given: Options) -> list[str]:
    """Return the options that a job needs so that nothing is lost, as far as the user has not said otherwise."""
    limit_s = order.time_s or _asked_s(given.value("time", "t") or "")
    lead_s = min(max(round(min(order.lead_s + _LATE_S, limit_s / 4)), _LEAST_LEAD_S), _MOST_LEAD_S)
    is_array = given.has("array", "a")
    ours = []
    if not given.has("job-name", "J"):
        ours.append(f"--job-name={_quoted(order.name)}")
    if order.time_s is not None and not given.has("time", "t"):
        ours.append(f"--time={_limit(order.time_s)}")
    if not given.has("signal"):
        ours.append(f"--signal=B:USR1@{lead_s}")
    if not given.has("requeue") and not given.has("no-requeue"):
        ours.append("--requeue")
    if not given.has("open-mode"):
        ours.append("--open-mode=append")
    if not given.has("output", "o"):
        name = "%A_%a.out" if is_array else "%j.out"
        ours.append(f"--output={_quoted(os.path.join(order.store.replace('%', '%%'), 'jobs', name))}")
    return ours


def _limit(seconds_s: float) -> str:
    """Return a time limit as sbatch reads it: days-hours:minutes:seconds; it rounds up to minutes."""
    minutes, seconds = divmod(max(60, round(seconds_s)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}-{hours:02}:{minutes:02}:{seconds:02}" if days else f"{hours:02}:{minutes:02}:{seconds:02}"


def _asked_s(text: str) -> float:
    """Read a time limit as sbatch takes it; infinite for what is none.

    M, M:S, H:M:S, D-H, D-H:M or D-H:M:S.
    """
    days, dash, rest = text.partition("-") if "-" in text else ("0", "", text)
    parts = rest.split(":")
    if not days.isdecimal() or not all(part.isdecimal() for part in parts) or len(parts) > _MOST_PARTS:
        return math.inf
    numbers = [int(part) for part in parts]
    units = (3600, 60, 1) if dash or len(numbers) == _MOST_PARTS else (60, 1)
    asked_s = int(days) * 86_400 + sum(number * unit for number, unit in zip(numbers, units, strict=False))
    return float(asked_s) if asked_s else math.inf  # 0: no limit


def _limit_s(text: str) -> float:
    """Read a time limit; infinite for UNLIMITED, and for what cannot be read."""
    found = _LIMIT.fullmatch(text)
    if found is None:
        return math.inf
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((24 * days + hours) * 60 + minutes) * 60.0 + seconds


def _refusal(answer: Answer) -> Refused | Unreachable:
    """Return what to raise for a command that failed: whether it was heard at all."""
    if any(sign in answer.said for sign in _TEMPORARY):
        return Unreachable(answer.said)
    return Refused(answer.said or f"status {answer.status}")


def _time(text: str) -> float | None:
    """Read seconds since the epoch; None for `Unknown`, `None`, 0 and what else is no time."""
    return float(text) if text.isdecimal() and int(text) > 0 else None


def _whole(text: str) -> int:
    return int(text) if text.isdecimal() else 0
