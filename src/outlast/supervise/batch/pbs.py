"""PBS: OpenPBS and PBS Professional; Torque as far as it agrees. Tried against recorded answers only."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from outlast.clock import SYSTEM, Clock
from outlast.supervise.batch import directive, times
from outlast.supervise.batch.client import Answer, Ask, asker
from outlast.supervise.batch.script import comment
from outlast.supervise.batch.system import Job, Order, Refused, Sight, Unreachable

_PLAIN = {"TZ": "UTC", "PBS_NO_COLOR": "1"}  # its times have no zone: that of whoever asks
_JOB = re.compile(r"\d+(?:\[\d*\])?(?:\.[\w.-]+)?", re.ASCII)
_FIELD = re.compile(r"^ {4}([\w.]+) = (.*)$", re.MULTILINE)
_AFTER_US = re.compile(r"beforeany:([^,]+)")
_TEMPORARY = ("cannot connect", "Connection refused", "timed out", "Expired credential", "No route", "errno=15010")
_EARLY_S = 60  # ended so long before its limit, it was ended by somebody


class Pbs:
    """PBS. A user may not put a job back into the queue, and no signal warns of the end: TERM comes 10 s before KILL.

    So the deadline is watched by our own clock, and a run goes on in the job behind this one.
    """

    name: ClassVar[str] = "pbs"
    submits: ClassVar[str] = "qsub"
    signs: ClassVar[tuple[str, ...]] = ("qsub", "pbsnodes")
    warns: ClassVar[bool] = False

    def __init__(self, ask: Ask | None = None, clock: Clock = SYSTEM) -> None:
        self._ask, self._send, self._clock = ask or asker(_PLAIN), ask or asker(None), clock

    # -- inside a job ------------------------------------------------------------------------------------

    def find(self, env: Mapping[str, str]) -> Job | None:
        job = env.get("PBS_JOBID", "")
        if not _JOB.fullmatch(job):
            return None
        task = env.get("PBS_ARRAY_INDEX", "")
        return Job(
            system=self.name,
            id=job,
            task=task if task.isdecimal() else "",
            counted=False,
            partition=env.get("PBS_QUEUE", ""),
            folder=env.get("PBS_O_WORKDIR", ""),
        )

    def see(self, job: Job) -> Sight:
        fields = self._fields(job)
        now = self._clock.wall()
        deadline = _deadline(fields, now)
        is_ending = fields.get("job_state") == "E"
        return Sight(
            deadline=deadline,
            # ended by qdel, or by the server, which puts it back itself: no successor in either case
            cancelled=is_ending and (deadline is None or deadline - now > _EARLY_S),
            requeued=fields.get("job_state") in ("Q", "H", "W"),
            requeues=False,
            submitted=times.c_moment(fields.get("qtime", "")),
            eligible=times.c_moment(fields.get("etime", "")),
            output=fields.get("Output_Path", "").partition(":")[2],
        )

    def requeue(self, job: Job) -> None:
        raise Refused(f"PBS lets only its managers put a job back ({job.id}: qrerun): the run goes on in a new job")

    def status(self, status: int) -> int:
        return status

    # -- new jobs ----------------------------------------------------------------------------------------

    def script(self, order: Order) -> str:
        options = [*directive.grouped(order.options), *_ours(order)]
        lines = ["#!/bin/bash", *map(comment, order.notes)]
        lines += [directive.line("#PBS", option, unsayable="#", quotes="\"'") for option in options]
        lines += ["", 'cd -- "${PBS_O_WORKDIR:-.}" || exit 1', f"exec {shlex.join(order.command)}"]
        return "\n".join(lines) + "\n"

    def submit(self, script: str, options: Sequence[str] = (), *, after: Job | None = None) -> str:
        if after and after.task:
            raise Refused("a job of PBS cannot wait for one task of an array: give each task a job of its own")
        waits = ["-W", f"depend=afterany:{after.id}"] if after else []
        answer = self._send(["qsub", *waits, *options, script])
        if answer.status != 0:
            raise _refusal(answer)
        number = answer.text.strip().split("\n")[-1].strip()
        if not _JOB.fullmatch(number):
            raise Unreachable(f"qsub answered {number!r}, which is no job's name")
        return number

    def successor(self, job: Job) -> str | None:
        """Read it from our own job: the server notes there who waits for its end."""
        found = _AFTER_US.search(self._fields(job).get("depend", ""))
        return found[1].partition("@")[0] if found else None

    # -- its answers -------------------------------------------------------------------------------------

    def _fields(self, job: Job) -> dict[str, str]:
        answer = self._ask(["qstat", "-f", job.id])
        if answer.status != 0:
            raise Unreachable(answer.said or f"qstat ended with status {answer.status}")
        text = re.sub(r"\n\t", "", answer.text)  # a long value goes on behind a tab
        head, _, body = text.lstrip("\n").partition("\n")
        name, fields = head.removeprefix("Job Id:").strip(), dict(_FIELD.findall(body))
        if not head.startswith("Job Id:") or not _is_same(name, job.id) or not fields.get("job_state"):
            raise Unreachable("qstat knows nothing of the job")
        return fields


def _is_same(name: str, other: str) -> bool:
    """Compare names that may have, or lack, the server's."""
    return name.partition(".")[0] == other.partition(".")[0]


def _deadline(fields: Mapping[str, str], now: float) -> float | None:
    """Return when it is killed: from its start, as what was used is told late; a suspended job gets its time later."""
    limit_s = times.seconds(fields.get("Resource_List.walltime", ""))
    used_s = times.seconds(fields.get("resources_used.walltime", "0"))
    started = times.c_moment(fields.get("stime", ""))
    if limit_s is None:
        return None
    if started is not None and started + limit_s > now:
        return started + limit_s
    return now + limit_s - used_s if used_s is not None else None


def _refusal(answer: Answer) -> Refused | Unreachable:
    if any(sign in answer.said for sign in _TEMPORARY):
        return Unreachable(answer.said)
    return Refused(answer.said or f"status {answer.status}")


def _ours(order: Order) -> Iterator[list[str]]:
    """Give the options that a job needs so that nothing is lost, as far as the user has not said otherwise."""
    given = order.options
    if not _has(given, "S"):
        yield ["-S", "/bin/bash"]
    if not _has(given, "V"):
        yield ["-V"]  # the environment, which other systems take along unasked
    if not _has(given, "N"):
        yield ["-N", directive.job_name(order.name)]
    if order.time_s is not None and not any("walltime=" in option for option in given):
        yield ["-l", f"walltime={times.clock(order.time_s)}"]
    if not _has(given, "r"):
        yield ["-r", "y"]  # after the failure of a node
    if not _has(given, "j"):
        yield ["-j", "oe"]
    if not _has(given, "o"):
        yield ["-o", os.path.join(order.store, "jobs", "")]  # a folder: the file in it gets the job's name


def _has(given: Sequence[str], letter: str) -> bool:
    return any(
        option.startswith(f"-{letter}") for option in given
    )  # all have one letter, and may have a value behind it
