"""What the supervisor does, kept in the store's `jobs/`: for people, and for the next job's decision to go on.

The run does not depend on it: what cannot be written is said once, and the computation goes on.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from outlast.clock import SYSTEM, Clock
from outlast.errors import OutlastError
from outlast.format import jobs
from outlast.format.jobs import JobName
from outlast.supervise.events import Tell

if TYPE_CHECKING:
    from outlast.store import JobJournal

_STDERR = 2
_KEPT = {
    "start": (jobs.START, ("attempt", "pid", "deadline")),
    "deadline": (jobs.DEADLINE, ("deadline",)),
    "notice": (jobs.NOTICE, ("reason", "cause")),
    "end": (jobs.END, ("attempt", "status", "cause", "progress", "step", "lasted_s")),
    "restart": (jobs.DECISION, ("reason", "after_s")),
    "give-up": (jobs.DECISION, ("reason", "status")),
    "finish": (jobs.DECISION, ("reason", "status")),
}


class Record:
    """Hears what the supervisor tells, passes it on, and writes it down.

    Args:
        store: the path of the run's store, which need not exist yet.
        name: of the placing.
        tell: hears everything too.

    Attributes:
        ended: the fields of the last attempt's end; empty before there was one.
        lasted_s: how long all attempts ran.
        attempts: how many there were.
        progressed: one of them made progress.
    """

    def __init__(self, store: str | None, name: JobName, tell: Tell, clock: Clock = SYSTEM) -> None:
        self.ended: Mapping[str, Any] = {}
        self.lasted_s, self.attempts, self.progressed = 0.0, 0, False
        self._tell = tell
        self._journal: JobJournal | None = None
        if store is not None:
            from outlast.backends import Posix
            from outlast.store import JobJournal

            try:
                self._journal = JobJournal.begin(Posix(store), name, clock=clock)
            except OutlastError as e:
                self._say(e)

    def __call__(self, event: str, text: str = "", **fields: Any) -> None:
        self._tell(event, text, **fields)
        if event == "end":
            self.ended = fields
            self.lasted_s += fields["lasted_s"]
            self.attempts += 1
            self.progressed |= fields["progress"]
        if event in _KEPT:
            kind, names = _KEPT[event]
            told = {name: fields[name] for name in names if name in fields}
            if kind == jobs.DECISION:
                told["what"] = event
            if event == "end":
                told["printed_bytes"] = output()[1]
            self.write(kind, **told)

    def write(self, event: str, **fields: Any) -> None:
        """Write one event down, if that can be done."""
        if self._journal is None:
            return
        try:
            self._journal.record(event, **fields)
        except OutlastError as e:
            self._say(e)
            self.close()

    def close(self) -> None:
        """Let go of the record."""
        journal, self._journal = self._journal, None
        if journal is not None:
            try:
                journal.close()
            except OutlastError as e:
                self._say(e)

    def _say(self, error: OutlastError) -> None:
        self._tell("warning", f"warning: no record of this job is kept: {error.args[0]}")


def output() -> tuple[str, int | None]:
    """Return the path of the file that our standard error goes to, and its length; "" and None if it is no file.

    What was printed is not copied: there may be secrets in it, which are nobody's business but the file's readers'.
    """
    try:
        found = os.fstat(_STDERR)
        if not stat.S_ISREG(found.st_mode):
            return "", None
        return os.readlink(f"/proc/self/fd/{_STDERR}"), found.st_size
    except OSError:
        return "", None
