"""Grid Engine: Sun's and its heirs (Son of, Univa, Altair), as far as they agree. Tried on Son of Grid Engine 8.1.9."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from outlast.clock import SYSTEM, Clock
from outlast.errors import FAILED, PREEMPTED, UsageError
from outlast.supervise.batch import directive, times
from outlast.supervise.batch.client import Answer, Ask, asker
from outlast.supervise.batch.script import comment
from outlast.supervise.batch.system import Job, Order, Refused, Sight, Unreachable

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET

_PLAIN = {"TZ": "UTC", "SGE_SINGLE_LINE": "1"}  # its times have no zone: that of whoever asks
_REQUEUE, _ERROR = 99, 100
_FORBIDDEN = "FORBID_RESCHEDULE"
_TEMPORARY = ("commlib error", "unable to send message", "unable to contact", "got send error", "timeout")
_UNSAYABLE = "'\"#"  # a quote is dropped wherever it stands, and `#` begins a comment [measured]
_LIMIT = re.compile(r"(?:^|,)h_rt=")


class Sge:
    """Grid Engine. A job that leaves with status 99 is started again: nobody has to ask for it."""

    name: ClassVar[str] = "sge"
    submits: ClassVar[str] = "qsub"
    signs: ClassVar[tuple[str, ...]] = ("qsub", "qconf")
    warns: ClassVar[bool] = False

    def __init__(self, ask: Ask | None = None, clock: Clock = SYSTEM) -> None:
        self._ask, self._send, self._clock = ask or asker(_PLAIN), ask or asker(None), clock

    # -- inside a job ------------------------------------------------------------------------------------

    def find(self, env: Mapping[str, str]) -> Job | None:
        number, task = env.get("JOB_ID", ""), env.get("SGE_TASK_ID", "")
        if not number.isdecimal() or not task:  # JOB_ID alone may be anybody's; no array's task is `undefined`
            return None
        is_first = env.get("RESTARTED", "0") == "0"  # it tells whether, not how often
        return Job(
            system=self.name,
            id=f"{number}.{task}" if task.isdecimal() else number,
            task=task if task.isdecimal() else "",
            restarts=0 if is_first else 1,
            counted=is_first,
            partition=env.get("QUEUE", ""),
            folder=env.get("SGE_O_WORKDIR", ""),
        )

    def see(self, job: Job) -> Sight:
        entry = _entry(self._entries(), job)
        deadline, state = _deadline(entry, job), _text(entry, "state")
        return Sight(
            deadline=deadline,
            preempted="S" in state,  # its queue gives way to another one
            cancelled="d" in state,
            requeued="q" in state,
            # what leaves behind its limit is ended, whatever it leaves with [measured]
            requeues=False if deadline is not None and self._clock.wall() >= deadline else None,
        )

    def requeue(self, job: Job) -> None:
        """Leaving with status 99 does it, if the site has not forbidden that. `qmod -rj` is for managers."""
        del job
        try:
            settings = self._ask(["qconf", "-sconf"])
        except Unreachable:
            return  # a node without the command: by default it is allowed
        if settings.status == 0 and re.search(rf"{_FORBIDDEN}\s*=\s*(?:true|1)", settings.text, re.IGNORECASE):
            raise Refused(f"this Grid Engine is set up with {_FORBIDDEN}: no job can have itself started again")

    def status(self, status: int) -> int:
        """Say 'run me again' as 99. A command's own 99, or 100, must not be taken for what they mean here."""
        return {PREEMPTED: _REQUEUE, _REQUEUE: FAILED, _ERROR: FAILED}.get(status, status)

    # -- new jobs ----------------------------------------------------------------------------------------

    def script(self, order: Order) -> str:
        options = [*directive.grouped(order.options), *_ours(order)]
        lines = ["#!/bin/bash", *map(comment, order.notes)]
        lines += [directive.line("#$", option, unsayable=_UNSAYABLE) for option in options]
        lines += ["", f"exec {shlex.join(order.command)}"]
        return "\n".join(lines) + "\n"

    def submit(self, script: str, options: Sequence[str] = (), *, after: Job | None = None) -> str:
        if after and after.task:
            raise Refused("a job of Grid Engine can wait for a whole array, not for one of its tasks")
        waits = ["-hold_jid", after.id] if after else []
        answer = self._send(["qsub", "-terse", *waits, *options, script])
        if answer.status != 0:
            raise _refusal(answer)
        number = answer.text.strip().split("\n")[-1].partition(".")[0]  # 7.1-20:1 of an array
        if not number.isdecimal():
            raise Unreachable(f"qsub answered {number!r}, which is no job's number")
        return number

    def successor(self, job: Job) -> str | None:
        entries = self._entries()
        _entry(entries, job)  # a list without ourselves is not to be believed
        number = job.id.partition(".")[0]
        for entry in entries:
            waited = [*entry.iter("predecessor_jobs"), *entry.iter("predecessor_jobs_req")]
            if any(number in re.split(r"[\s,]+", (element.text or "").strip()) for element in waited):
                return _text(entry, "JB_job_number")
        return None

    # -- its answers -------------------------------------------------------------------------------------

    def _entries(self) -> list[ET.Element]:
        """Return what is known of our jobs, an entry a job or task."""
        from xml.etree import ElementTree as ET

        answer = self._ask(["qstat", "-xml", "-r"])
        if answer.status != 0:
            raise Unreachable(answer.said or f"qstat ended with status {answer.status}")
        try:
            root = ET.fromstring(answer.text)  # noqa: S314  (said by the batch system's own command)
        except ET.ParseError as e:
            raise Unreachable(f"qstat answered what is no XML: {e}") from None
        return list(root.iter("job_list"))


def _entry(entries: Sequence[ET.Element], job: Job) -> ET.Element:
    number, _, task = job.id.partition(".")
    for entry in entries:
        if _text(entry, "JB_job_number") == number and (not task or task in _text(entry, "tasks").split(",")):
            return entry
    raise Unreachable("qstat knows nothing of the job")


def _deadline(entry: ET.Element, job: Job) -> float | None:
    """Return when it is killed: at the hard limit; when it was started again, at the soft one, if less [measured]."""
    limits = {limit.get("name", ""): times.seconds(limit.text or "") for limit in entry.iter("hard_request")}
    counting = ("h_rt", "s_rt") if job.restarts else ("h_rt",)
    ends = [limit_s for name in counting if (limit_s := limits.get(name)) is not None]
    started = times.iso_moment(_text(entry, "JAT_start_time"))
    return started + min(ends) if started is not None and ends else None


def _text(entry: ET.Element, name: str) -> str:
    return (entry.findtext(name) or "").strip()


def _refusal(answer: Answer) -> Refused | Unreachable:
    if any(sign in answer.said for sign in _TEMPORARY):
        return Unreachable(answer.said)
    return Refused(answer.said or f"status {answer.status}")


# -- its scripts -----------------------------------------------------------------------------------------


def _ours(order: Order) -> Iterator[list[str]]:
    """Give the options that a job needs so that nothing is lost, as far as the user has not said otherwise."""

    def lacks(*names: str) -> bool:
        return not any(f"-{name}" in order.options for name in names)

    if lacks("S"):
        yield ["-S", "/bin/bash"]  # else the queue's shell, whatever the first line says
    if lacks("cwd", "wd"):
        yield ["-cwd"]
    if lacks("V"):
        yield ["-V"]  # the environment, which other systems take along unasked
    if lacks("N"):
        yield ["-N", directive.job_name(order.name)]
    if order.time_s is not None and not any(map(_LIMIT.search, order.options)):
        yield ["-l", f"h_rt={max(60, round(order.time_s))}"]  # and no s_rt, which ends a job that was started again
    if lacks("notify"):
        yield ["-notify"]  # USR2 before the kill, USR1 before a suspension
    if lacks("r"):
        yield ["-r", "y"]
    if lacks("j"):
        yield ["-j", "y"]
    if lacks("o"):
        yield ["-o", _output(order.store, "$JOB_ID.out" if lacks("t") else "$JOB_ID.$TASK_ID.out")]


def _output(store: str, name: str) -> str:
    if "," in store:
        text = f"{store}: Grid Engine takes a comma in the path of an output file for the end of it"
        raise UsageError(text, hint="give -o, or a store without a comma in its path")
    return f":{os.path.join(store, 'jobs', name)}"  # with a colon in front, those within are only colons
