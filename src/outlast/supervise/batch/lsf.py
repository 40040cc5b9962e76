"""IBM Spectrum LSF 10.1. Tried against recorded answers only."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import ClassVar

from outlast.clock import SYSTEM, Clock
from outlast.errors import PREEMPTED
from outlast.supervise.batch import directive
from outlast.supervise.batch.client import Answer, Ask, asker
from outlast.supervise.batch.script import comment
from outlast.supervise.batch.system import Job, Order, Refused, Sight, Unreachable

_PLAIN = {"LSB_BJOBS_CONSISTENT_EXIT_CODE": "Y"}
_FIELDS = "jobid jobindex stat time_left dependency delimiter='|'"
_STATES = ("PEND", "PROV", "PSUSP", "RUN", "USUSP", "SSUSP", "DONE", "EXIT", "UNKWN", "WAIT", "ZOMBI")
_LEFT = re.compile(r"(\d{1,6}):(\d{1,2})(?::\d\d)?\s*([LEX]?)", re.ASCII)
_TAKEN = re.compile(r"^Job <(\d+)> is submitted to ", re.MULTILINE)
_TEMPORARY = ("LSF is down", "Please wait", "not responding", "Cannot connect", "timed out", "not ready")
_FROM_INPUT = (
    'unset BSUB_QUIET; exec bsub "$@" <"$0"'  # it reads the script, and the options in it, from its input only
)
_LEAST_LEAD_MIN = 1


class Lsf:
    """LSF. With `-Q 85` a job that leaves with 85 is started again under the same id; else its owner may ask for it."""

    name: ClassVar[str] = "lsf"
    submits: ClassVar[str] = "bsub"
    signs: ClassVar[tuple[str, ...]] = ("bsub", "bkill")
    warns: ClassVar[bool] = True

    def __init__(self, ask: Ask | None = None, clock: Clock = SYSTEM, env: Mapping[str, str] | None = None) -> None:
        self._ask, self._send, self._clock = ask or asker(_PLAIN), ask or asker(None), clock
        self._env = os.environ if env is None else env

    # -- inside a job ------------------------------------------------------------------------------------

    def find(self, env: Mapping[str, str]) -> Job | None:
        number, index = env.get("LSB_JOBID", ""), env.get("LSB_JOBINDEX", "0")
        if not number.isdecimal():
            return None
        task = index if index.isdecimal() and int(index) > 0 else ""
        return Job(
            system=self.name,
            id=f"{number}[{task}]" if task else number,
            task=task,
            restarts=1 if env.get("LSB_RESTART", "").upper().startswith("Y") else 0,
            counted=False,
            partition=env.get("LSB_QUEUE", ""),
            folder=env.get("LS_SUBCWD", ""),
        )

    def see(self, job: Job) -> Sight:
        _, _, state, left, _ = _row(self._rows(job.id), job)
        return Sight(deadline=self._deadline(left), cancelled=state in ("EXIT", "ZOMBI"), requeued=state == "PEND")

    def requeue(self, job: Job) -> None:
        if _is_requeued(self._env.get("LSB_EXIT_REQUEUE", "")):
            return  # leaving with 85 does it
        answer = self._ask(["brequeue", job.id])
        if answer.status != 0:
            raise _refusal(answer)
        if "being requeued" not in answer.text + answer.said:
            raise Unreachable(f"brequeue answered {answer.text.strip()!r}")

    def status(self, status: int) -> int:
        return status

    # -- new jobs ----------------------------------------------------------------------------------------

    def script(self, order: Order) -> str:
        options = [*directive.grouped(order.options), *_ours(order)]
        lines = ["#!/bin/bash", *map(comment, order.notes)]
        lines += [directive.line("#BSUB", option, unsayable="#", quotes="\"'") for option in options]
        lines += ["", f"exec {shlex.join(order.command)}"]
        return "\n".join(lines) + "\n"

    def submit(self, script: str, options: Sequence[str] = (), *, after: Job | None = None) -> str:
        waits = ["-w", f"ended({after.id})"] if after else []
        answer = self._send(["sh", "-c", _FROM_INPUT, script, *waits, *options])
        if answer.status != 0:
            raise _refusal(answer)
        taken = _TAKEN.search(answer.text)
        if taken is None:
            raise Unreachable(f"bsub answered {answer.text.strip()!r}, which names no job")
        return taken[1]

    def successor(self, job: Job) -> str | None:
        rows = self._rows()
        _row(rows, job)  # a list without ourselves is not to be believed
        waits = re.compile(rf"\bended\(\s*\"?{re.escape(job.id)}\"?\s*\)")
        return next((number for number, _, _, _, dependency in rows if waits.search(dependency)), None)

    # -- its answers -------------------------------------------------------------------------------------

    def _rows(self, *jobs: str) -> list[list[str]]:
        """Return number, index, state, time left and condition of jobs: of all of ours, if none is named."""
        answer = self._ask(["bjobs", "-noheader", "-o", _FIELDS, *jobs])
        rows = [[field.strip() for field in line.split("|", 4)] for line in answer.text.splitlines()]
        rows = [row for row in rows if len(row) == 5 and row[0].isdecimal() and row[2] in _STATES]  # noqa: PLR2004
        if answer.status != 0 or not rows:
            raise Unreachable(answer.said or "bjobs knows nothing of the job")
        return rows

    def _deadline(self, left: str) -> float | None:
        """Return when the limit is reached: USR2 comes then. An estimate (E) is none, and a dash means no limit."""
        found = _LEFT.fullmatch(left)
        if found is None or found[3] == "E":
            return None
        return self._clock.wall() + (int(found[1]) * 60 + int(found[2])) * 60


def _row(rows: Sequence[list[str]], job: Job) -> list[str]:
    for row in rows:
        if row[0] == job.id.partition("[")[0] and job.task in ("", row[1]):
            return row
    raise Unreachable("bjobs knows nothing of the job")


def _is_requeued(values: str) -> bool:
    """Say whether a job that leaves with 85 is started again, by the values that REQUEUE_EXIT_VALUES and -Q take."""
    words = re.sub(r"EXCLUDE\([^)]*\)", " ", values).split()  # these go to another node, which may not be there
    return str(PREEMPTED) in words or ("all" in words and f"~{PREEMPTED}" not in words)


def _refusal(answer: Answer) -> Refused | Unreachable:
    if not answer.said or any(sign in answer.said for sign in (*_TEMPORARY, "not found")):
        return Unreachable(answer.said or f"status {answer.status}")
    return Refused(answer.said)


def _ours(order: Order) -> Iterator[list[str]]:
    """Give the options that a job needs so that nothing is lost, as far as the user has not said otherwise."""
    given = order.options
    is_array = any("[" in name for option, name in pairwise(given) if option == "-J")
    if "-J" not in given:
        yield ["-J", directive.job_name(order.name)]
    if order.time_s is not None and "-W" not in given:
        hours, minutes = divmod(max(1, round(order.time_s / 60)), 60)
        yield ["-W", f"{hours}:{minutes:02}"]
    if "-wt" not in given and "-wa" not in given and ("-W" in given or order.time_s is not None):
        yield ["-wt", str(max(_LEAST_LEAD_MIN, -int(-order.lead_s // 60)))]
        yield ["-wa", "USR1"]
    if "-Q" not in given:
        yield ["-Q", str(PREEMPTED)]
    if "-r" not in given and "-rn" not in given:
        yield ["-r"]  # after the failure of a node
    if "-o" not in given and "-oo" not in given:
        yield ["-o", os.path.join(order.store, "jobs", "%J.%I.out" if is_array else "%J.out")]
