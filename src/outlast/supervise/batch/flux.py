"""Flux. Tried against recorded answers only; its sources and manual pages tell the rest."""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from outlast.clock import SYSTEM, Clock
from outlast.errors import UsageError
from outlast.supervise.batch.client import Answer, Ask, asker
from outlast.supervise.batch.options import Options
from outlast.supervise.batch.script import comment, quoted
from outlast.supervise.batch.system import Job, Order, Refused, Sight, Unreachable

_PLAIN = {"FLUX_F58_FORCE_ASCII": "1"}  # else an id begins with a letter that not every locale has
_JOB = re.compile(r"[fƒ][1-9A-HJ-NP-Za-km-z]{1,12}|\d{1,20}")
_LEFT = re.compile(r"inf|\d{1,20}(?:\.\d+)?", re.ASCII)
_UNLIMITED_S = 2**32 - 1
_LIST = ["jobs", "--no-header", "--format={id.f58}|{status}|{exception.type}|{dependencies}"]
_AFTER = re.compile(r"\bafter-(?:finish|any)=([fƒ]?\w+)")
_TEMPORARY = ("Unable to connect", "Connection refused", "Connection reset", "No such file", "not running", "timed out")
_LEAST_LEAD_S = 10


class Flux:
    """Flux. Nothing starts a job again under its id: a run goes on in the job behind this one.

    A batch script runs in an instance of its own, whose job it is in the instance around it: FLUX_ENCLOSING_ID.
    """

    name: ClassVar[str] = "flux"
    submits: ClassVar[str] = "flux"
    signs: ClassVar[tuple[str, ...]] = ("flux",)
    warns: ClassVar[bool] = True

    def __init__(self, ask: Ask | None = None, clock: Clock = SYSTEM, env: Mapping[str, str] | None = None) -> None:
        self._ask, self._send, self._clock = ask or asker(_PLAIN), ask or asker(None), clock
        self._env = os.environ if env is None else env

    # -- inside a job ------------------------------------------------------------------------------------

    def find(self, env: Mapping[str, str]) -> Job | None:
        number = env.get("FLUX_ENCLOSING_ID", "") or env.get("FLUX_JOB_ID", "")
        if not _JOB.fullmatch(number):
            return None
        task = env.get("FLUX_JOB_CC", "")
        return Job(system=self.name, id=_plain(number), task=task if task.isdecimal() else "")

    def see(self, job: Job) -> Sight:
        answer = self._ask(["flux", "job", "timeleft"])  # of the job around us, in an instance of its own or not
        left = answer.text.strip()
        if answer.status != 0 or not _LEFT.fullmatch(left):
            raise Unreachable(answer.said or f"flux job timeleft answered {left!r}")
        left_s = math.inf if left == "inf" else float(left)
        _, _, exception, _ = _row(self._rows(job.id), job)
        return Sight(
            deadline=self._clock.wall() + left_s if left_s < _UNLIMITED_S else None,
            preempted=exception == "preempt",
            cancelled=exception == "cancel",
            requeues=False,
        )

    def requeue(self, job: Job) -> None:
        raise Refused(f"Flux starts no job again under its id ({job.id}): the run goes on in a new job")

    def status(self, status: int) -> int:
        return status

    # -- new jobs ----------------------------------------------------------------------------------------

    def script(self, order: Order) -> str:
        given = Options(order.options)
        lines = ["#!/bin/bash", *map(comment, order.notes)]
        if order.options:
            lines.append(f"# flux: {' '.join(quoted(option) for option in order.options)}")
        lines += [f"# flux: {option}" for option in _ours(order, given)]
        lines += ["", f"exec {shlex.join(order.command)}"]
        return "\n".join(lines) + "\n"

    def submit(self, script: str, options: Sequence[str] = (), *, after: Job | None = None) -> str:
        waits = [f"--dependency=afterany:{after.id}"] if after else []
        answer = self._send([*self._flux(), "batch", *waits, *options, script])
        number = answer.text.strip().split("\n")[-1].strip()
        if answer.status != 0:
            raise _refusal(answer)
        if not _JOB.fullmatch(number):
            raise Unreachable(f"flux batch answered {number!r}, which is no job's id")
        return _plain(number)

    def successor(self, job: Job) -> str | None:
        rows = self._rows()
        _row(rows, job)  # a list without ourselves is not to be believed
        for number, _, _, dependencies in rows:
            if job.id in map(_plain, _AFTER.findall(dependencies)):
                return number
        return None

    # -- its answers -------------------------------------------------------------------------------------

    def _flux(self) -> list[str]:
        """Return the command that speaks to the instance that our job is a job of."""
        return ["flux", "--parent"] if self._env.get("FLUX_ENCLOSING_ID") else ["flux"]

    def _rows(self, *jobs: str) -> list[list[str]]:
        """Return id, status, exception and dependencies of jobs: of all of ours, if none is named."""
        answer = self._ask([*self._flux(), *_LIST, *jobs])
        rows = [[field.strip() for field in line.split("|", 3)] for line in answer.text.splitlines()]
        rows = [[_plain(row[0]), *row[1:]] for row in rows if len(row) == 4 and _JOB.fullmatch(row[0])]  # noqa: PLR2004
        if answer.status != 0 or not rows:
            raise Unreachable(answer.said or "flux jobs knows nothing of the job")
        return rows


def _row(rows: Sequence[list[str]], job: Job) -> list[str]:
    for row in rows:
        if row[0] == job.id:
            return row
    raise Unreachable("flux jobs knows nothing of the job")


def _plain(number: str) -> str:
    """Return an id with the first letter that every locale has; Flux takes both."""
    return f"f{number[1:]}" if number.startswith("ƒ") else number


def _refusal(answer: Answer) -> Refused | Unreachable:
    if any(sign in answer.said for sign in _TEMPORARY):
        return Unreachable(answer.said)
    return Refused(answer.said or f"status {answer.status}")


def _ours(order: Order, given: Options) -> Iterator[str]:
    """Give the options that a job needs so that nothing is lost, as far as the user has not said otherwise."""
    if not any(given.has(name, letter) for name, letter in (("nslots", "n"), ("nodes", "N"))):
        yield "--nslots=1"  # it takes no job without
    if not given.has("job-name"):
        yield f"--job-name={quoted(order.name)}"
    if order.time_s is not None and not given.has("time-limit", "t"):
        yield f"--time-limit={max(60, round(order.time_s))}s"
    if not given.has("signal"):
        yield f"--signal=USR1@{max(round(order.lead_s), _LEAST_LEAD_S)}s"
    if not given.has("output"):
        if "{{" in order.store:
            text = f"{order.store}: Flux takes {{{{ in the path of an output file for a template"
            raise UsageError(text, hint="give --output, or a store with another path")
        yield f"--output={quoted(os.path.join(order.store, 'jobs', '{{id}}.out'))}"
