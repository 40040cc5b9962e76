"""What a batch system is to us: it gives a job its time, takes it away, starts it again, and takes new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol


class Unreachable(Exception):  # noqa: N818  (no error of the program: it goes on without)
    """The batch system's commands are not there, do not answer, or say what makes no sense."""


class Refused(Exception):  # noqa: N818  (a decision of the batch system)
    """The batch system was reached, and says no. The text is what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The job that this process runs in, as its environment tells.

    Attributes:
        system: the batch system's name.
        id: as the system's commands take it: of one task, if the job is an array.
        task: which task of an array; "" if it is none.
        restarts: how often the system has started it again, or the least that it can be.
        counted: that is exactly how often. Some tell only whether, some not even that.
        partition: the queue or partition; "" if not known.
        folder: from where it was submitted; "" if not known.
        deadline: seconds since the epoch at which it is killed, if the environment tells.
    """

    system: str
    id: str
    task: str = ""
    restarts: int = 0
    counted: bool = True
    partition: str = ""
    folder: str = ""
    deadline: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What the batch system says of a job now.

    Attributes:
        deadline: seconds since the epoch at which it is killed; None if it has no limit, or that is not known.
        preempted: somebody else gets its place.
        cancelled: a person has ended it: nobody wants it started again.
        requeued: it is back in the queue already, and is started again when this attempt has ended.
        requeues: it may be started again in place; None: only trying tells.
        submitted: seconds since the epoch at which it was submitted, or put back into the queue; None: not known.
        eligible: seconds since the epoch from which on it could have been started; None: not known.
        output: the file that gets what it prints; "" if not known.
    """

    deadline: float | None = None
    preempted: bool = False
    cancelled: bool = False
    requeued: bool = False
    requeues: bool | None = None
    submitted: float | None = None
    eligible: float | None = None
    output: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A job to be made.

    Attributes:
        command: what its script runs, argument by argument: `outlast run ... -- CMD`.
        options: the user's own options for the batch system, untouched, in their order.
        name: for people.
        store: the absolute path of the run's store.
        lead_s: how long before its end the job is to be told.
        time_s: its time limit; None: the options say it, or the system's default.
        notes: comment lines for whoever reads the script.
    """

    command: Sequence[str]
    options: Sequence[str]
    name: str
    store: str
    lead_s: float
    time_s: float | None = None
    notes: Sequence[str] = ()


class BatchSystem(Protocol):
    """One batch system. Nothing is kept between calls; each may be made at any time, from one thread.

    Whatever asks the system's commands raises Unreachable if they cannot be had; it takes at most some seconds.

    Attributes:
        name: how it is called on the command line and in records: lower case.
        submits: the command that takes its job scripts.
        signs: commands that are all there where its jobs are submitted, and not where other systems' are; none: it is
            only chosen by its name.
        warns: its job scripts can ask for a signal in time before the end; else `outlast run` watches the clock itself.
    """

    name: ClassVar[str]
    submits: ClassVar[str]
    signs: ClassVar[tuple[str, ...]]
    warns: ClassVar[bool]

    def find(self, env: Mapping[str, str]) -> Job | None:
        """Return the job that a process with this environment runs in; None if in none. Asks nobody."""
        ...

    def see(self, job: Job) -> Sight:
        """Ask for what is known of a job now. Raises Unreachable."""
        ...

    def requeue(self, job: Job) -> None:
        """Have our own job started again in place, when this attempt has ended. It may end us at once.

        Raises:
            Refused: it may not be. A job that was put back once is not put back twice: that is no refusal.
            Unreachable: not known whether it was done.
        """
        ...

    def script(self, order: Order) -> str:
        """Return the text of a job script. Pure. Raises UsageError for what no script can say."""
        ...

    def submit(self, script: str, options: Sequence[str] = (), *, after: Job | None = None) -> str:
        """Submit a script, by its path, and return the new job's id; to be started when `after` has ended, however.

        Raises:
            Refused: it was not taken.
            Unreachable: not known whether it was taken.
        """
        ...

    def successor(self, job: Job) -> str | None:
        """Return the id of a job in the queue that waits for the end of this one; None if there is none.

        Raises:
            Unreachable: not known.
        """
        ...

    def status(self, status: int) -> int:
        """Translate the exit status with which `outlast run` leaves into this system's language."""
        ...
