"""HTCondor, from 8.9.3 on (`checkpoint_exit_code`). Tried against recorded answers only."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from outlast.clock import SYSTEM, Clock
from outlast.errors import PREEMPTED, UsageError
from outlast.supervise.batch.client import Answer, Ask, asker
from outlast.supervise.batch.script import comment
from outlast.supervise.batch.system import Job, Order, Refused, Sight, Unreachable

_LIMIT_BYTES = 1 << 20
_FIELD = re.compile(r"^(\w+) = (.*)$", re.MULTILINE)
_STATES = {"1": "idle", "2": "running", "3": "removed", "4": "completed", "5": "held", "6": "output", "7": "suspended"}
_TAKEN = re.compile(r"^(\d+)\.\d+ - \d+\.\d+$", re.MULTILINE)
_LIMITS = ("AllowedExecuteDuration", "AllowedJobDuration")
_STARTED = "JobCurrentStartDate"  # when it began to execute is told a quarter of an hour later
_ASKED = f"ClusterId,ProcId,JobStatus,{_STARTED},{','.join(_LIMITS)}"
_TEMPORARY = ("Failed to fetch ads", "Can't find address", "Failed to connect", "Unable to", "ERROR: Can't")
_COMMAND = re.compile(r"\+?[A-Za-z]\w*(?:\.\w+)*")
_LEAST_VACATE_S = 10


class HTCondor:
    """HTCondor. With `checkpoint_exit_code = 85` a job that leaves with 85 is started again in the place where it ran.

    A job that is evicted gets TERM, and goes back into the queue whatever it leaves with. There are no limits of time
    to plan with, no jobs that wait for others outside DAGMan, and no job scripts: what is submitted is a description.
    """

    name: ClassVar[str] = "htcondor"
    submits: ClassVar[str] = "condor_submit"
    signs: ClassVar[tuple[str, ...]] = ("condor_submit",)
    warns: ClassVar[bool] = False

    def __init__(self, ask: Ask | None = None, clock: Clock = SYSTEM, env: Mapping[str, str] | None = None) -> None:
        self._ask, self._send, self._clock = ask or asker({}), ask or asker(None), clock
        self._env = os.environ if env is None else env

    # -- inside a job ------------------------------------------------------------------------------------

    def find(self, env: Mapping[str, str]) -> Job | None:
        ad = _ad(env)
        cluster, process = ad.get("ClusterId", ""), ad.get("ProcId", "")
        if not cluster.isdecimal() or not process.isdecimal():
            return None
        starts = ad.get("NumJobStarts", "0")
        return Job(
            system=self.name,
            id=f"{cluster}.{process}",
            task=process if _whole(ad.get("TotalSubmitProcs", "")) > 1 else "",
            restarts=_whole(starts),
            counted=False,  # it says so once, and starts a job that left with 85 again without saying it anew
            folder=ad.get("Iwd", "").strip('"'),
        )

    def see(self, job: Job) -> Sight:
        answer = self._ask(["condor_q", job.id, "-long", "-attributes", _ASKED])
        fields = dict(_FIELD.findall(answer.text))
        number = f"{fields.get('ClusterId')}.{fields.get('ProcId')}"
        if answer.status != 0 or number != job.id or fields.get("JobStatus") not in _STATES:
            raise Unreachable(answer.said or "condor_q knows nothing of the job")
        started, limits = _whole(fields.get(_STARTED, "")), [_whole(fields.get(name, "")) for name in _LIMITS]
        ends = [started + limit_s for limit_s in limits if started and limit_s]
        ends = [end for end in ends if end > self._clock.wall()]  # what did not end us was no limit, or not ours
        return Sight(
            requeued=_STATES[fields["JobStatus"]] == "idle",
            deadline=float(min(ends)) if ends else None,
            cancelled=_STATES[fields["JobStatus"]] in ("removed", "held"),
        )

    def requeue(self, job: Job) -> None:
        """Leaving with 85 does it, if the job was submitted so."""
        if _ad(self._env).get("CheckpointExitCode") != str(PREEMPTED):
            text = f"job {job.id} was submitted without checkpoint_exit_code = {PREEMPTED}: HTCondor ends it"
            raise Refused(f"{text}; submit it again with that line in its description, or by `outlast submit`")

    def status(self, status: int) -> int:
        return status

    # -- new jobs ----------------------------------------------------------------------------------------

    def script(self, order: Order) -> str:
        """Return a submit description. The user's options are lines of it: `request_memory = 4GB`."""
        if order.time_s is not None:
            hint = "leave the time out; a job that may be evicted is told so by TERM"
            raise UsageError("HTCondor has no limit of time after which a job is started again", hint=hint)
        given = dict(map(_line, order.options))
        lines = [*map(comment, order.notes)]
        lines += [f"{name} = {value}" for name, value in given.items()]
        lines += [f"{name} = {value}" for name, value in _ours(order) if name not in {key.lower() for key in given}]
        return "\n".join([*lines, "queue", ""])

    def submit(self, script: str, options: Sequence[str] = (), *, after: Job | None = None) -> str:
        if after:
            raise Refused(f"a job of HTCondor cannot wait for the end of another ({after.id}), but in a DAG")
        answer = self._send(["condor_submit", "-terse", *options, script])
        if answer.status != 0:
            raise _refusal(answer)
        taken = _TAKEN.search(answer.text)
        if taken is None:
            raise Unreachable(f"condor_submit answered {answer.text.strip()!r}, which names no job")
        return taken[1]

    def successor(self, job: Job) -> str | None:
        del job
        return None  # there is no such thing


# -- what it knows ---------------------------------------------------------------------------------------


def _ad(env: Mapping[str, str]) -> dict[str, str]:
    """Return what the node was told of our job when it started it; nothing if we are in none."""
    try:
        with open(env.get("_CONDOR_JOB_AD", ""), "rb") as file:
            text = file.read(_LIMIT_BYTES).decode(errors="replace")
    except (OSError, ValueError):
        return {}  # no file, or no name of one
    return dict(_FIELD.findall(text))


def _whole(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _refusal(answer: Answer) -> Refused | Unreachable:
    if any(sign in answer.said for sign in _TEMPORARY):
        return Unreachable(answer.said)
    return Refused(answer.said or f"status {answer.status}")


# -- its descriptions ------------------------------------------------------------------------------------


def _line(option: str) -> tuple[str, str]:
    """Read an option of the user's as a line of a description. Raises UsageError."""
    name, is_line, value = (part.strip() for part in option.partition("="))
    if not is_line or not _COMMAND.fullmatch(name) or re.search(r"[\n\r\0]", value) or value.endswith("\\"):
        hint = "an option for HTCondor is a line of a submit description, such as 'request_memory = 4GB'"
        raise UsageError(f"{option!r} is no line of a submit description", hint=hint)
    return name, value


def _ours(order: Order) -> Iterator[tuple[str, str]]:
    command = list(order.command)
    program = command.pop(0) if os.path.isabs(command[0]) else "/usr/bin/env"
    name = os.path.join(order.store, "jobs", "%s")
    yield "executable", _said(program)
    yield "arguments", _arguments(command)
    yield "transfer_executable", "false"
    yield "should_transfer_files", "NO"  # the store is on a file system that the nodes share
    yield "getenv", "true"
    yield "batch_name", _said(" ".join(order.name.split()))
    yield "checkpoint_exit_code", str(PREEMPTED)
    yield "kill_sig", "SIGTERM"
    yield "job_max_vacate_time", str(max(round(order.lead_s), _LEAST_VACATE_S))
    for stream, end in (("output", "out"), ("error", "out"), ("log", "log")):
        yield stream, _said(name) % f"$(ClusterId).$(ProcId).{end}"
    yield "erase_output_and_error_on_restart", "false"


def _said(text: str) -> str:
    """Return text in which HTCondor expands nothing. Raises UsageError."""
    if re.search(r"[\n\r\0]", text):
        raise UsageError(f"{text!r}: a line break, which no submit description can hold", hint="put it into a script")
    return text.replace("$", "$(DOLLAR)")


def _arguments(words: Sequence[str]) -> str:
    """Return arguments by the newer of its two rules of quoting: all in double quotes, each in single ones."""
    each = ["'" + _said(word).replace("'", "''").replace('"', '""') + "'" for word in words]
    return '"' + " ".join(each) + '"'
