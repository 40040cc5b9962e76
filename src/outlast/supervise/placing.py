"""The job that we run in: its end and its fate, asked of the batch system sparingly, and put back into its queue."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from outlast.clock import Clock
from outlast.supervise.batch import BatchSystem, Job, Refused, Sight, Unreachable
from outlast.supervise.events import Tell
from outlast.units import format_duration

LOOK_S = 60.0  # every question costs the batch system's one controller something
_RAREST_S = 960.0
_SOON_S = 0.2
_TRIES = 5
_BETWEEN_S = 2.0
_MOVED_S = 1.5


class Fate(enum.Enum):
    """What becomes of the job after this attempt."""

    BACK = "requeue"  # the same job is started again
    SUCCESSOR = "successor"  # another one goes on
    NONE = "none"  # nobody goes on by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """What came of handing the work on.

    Attributes:
        successor: the id of the job that goes on, if it is another one.
    """

    fate: Fate
    reason: str
    successor: str = ""


class Placing:
    """One start of a job by its batch system.

    Attributes:
        job: which.
        deadline: when it is killed, in seconds since the epoch; None if nobody knows.
        sight: what the batch system said last; None before it said anything.
        next_look_s: when to ask again, by the monotonic clock.
    """

    def __init__(self, system: BatchSystem, job: Job, clock: Clock, tell: Tell) -> None:
        self.job, self.deadline = job, job.deadline
        self.sight: Sight | None = None
        self.next_look_s = clock.monotonic()
        self._system, self._clock, self._tell = system, clock, tell
        self._every_s = LOOK_S
        self._is_told = False

    @property
    def system(self) -> str:
        """Return the batch system's name."""
        return self._system.name

    def status(self, status: int) -> int:
        """Translate the exit status with which we leave."""
        return self._system.status(status)

    def look(self) -> bool:
        """Ask the batch system. Returns whether the deadline has moved."""
        try:
            self.sight = self._system.see(self.job)
        except Unreachable as e:
            self._every_s = min(_RAREST_S, 2 * self._every_s)
            self._say_unreachable(str(e))
            return False
        else:
            self._every_s = LOOK_S
        finally:
            self.next_look_s = self._clock.monotonic() + self._every_s
        if self.sight.requeued or self.sight.cancelled:
            return False  # what it says is of the next placing, or that the end has begun: it still leaves time to save
        before, self.deadline = self.deadline, self.sight.deadline
        if self.deadline is not None and self.deadline <= self._clock.wall():
            self.deadline = None  # it is over, and we are still here: nobody knows when the end comes, then
        if before is None or self.deadline is None:
            return before is not self.deadline
        return abs(before - self.deadline) > _MOVED_S

    def look_soon(self) -> None:
        """Ask again as soon as whatever is more urgent is done: a signal may mean that the deadline has moved."""
        self.next_look_s = self._clock.monotonic() + _SOON_S

    @property
    def is_preempted(self) -> bool:
        """Return whether somebody else gets the place."""
        return self.sight is not None and self.sight.preempted

    # -- handing on --------------------------------------------------------------------------------------

    def hand_over(self, script: str | None, note: Callable[[str], object]) -> Handover:
        """Have somebody go on: this job itself, in its place, where that is allowed; else one successor. Never both.

        Args:
            script: the job script of a successor; None if it is not known.
            note: told, before it is done, what is about to be done, so that it stands in a record.
        """
        self.look()
        if self.sight is not None and self.sight.cancelled:
            return Handover(fate=Fate.NONE, reason="the job was cancelled by a person")
        if self.sight is not None and self.sight.requeued:
            return Handover(fate=Fate.BACK, reason=f"{self.system} has put the job back into the queue")
        if self.sight is None or self.sight.requeues is not False:
            refusal = self._requeued(note)
            if not refusal:
                return Handover(fate=Fate.BACK, reason="put back into the queue")
        else:
            refusal = "the job may not be requeued"
        if script is None:
            hint = "start it with `outlast submit`, which gives it a successor"
            return Handover(fate=Fate.NONE, reason=f"{refusal}; {hint}")
        return self._succeeded(script, refusal, note)

    def _requeued(self, note: Callable[[str], object]) -> str:
        """Put the job back into the queue; return why that was refused, or "" if it was not."""
        note(Fate.BACK.value)
        for number in range(_TRIES):
            try:
                self._system.requeue(self.job)
            except Refused as e:
                return str(e)
            except Unreachable as e:  # it may have been heard: to ask once more does no harm, a successor would
                problem = str(e)
                if number + 1 < _TRIES:
                    self._clock.sleep(_BETWEEN_S)
            else:
                return ""
        self._tell("warning", f"warning: nobody knows whether the job was requeued: {problem}")
        return ""

    def _succeeded(self, script: str, refusal: str, note: Callable[[str], object]) -> Handover:
        """Submit the successor, once: whenever it is not known whether one was taken, the queue is asked first."""
        note(Fate.SUCCESSOR.value)
        problem = ""
        for number in range(_TRIES):
            try:
                successor = self._system.successor(self.job) or self._system.submit(script, after=self.job)
            except Refused as e:
                return Handover(fate=Fate.NONE, reason=f"{refusal}; a successor was refused: {e}")
            except Unreachable as e:
                problem = str(e)
                if number + 1 < _TRIES:
                    self._clock.sleep(_BETWEEN_S)
            else:
                return Handover(fate=Fate.SUCCESSOR, reason=f"{refusal}: job {successor} goes on", successor=successor)
        return Handover(fate=Fate.NONE, reason=f"{refusal}; whether a successor was taken is not known: {problem}")

    def _say_unreachable(self, problem: str) -> None:
        if self._is_told:
            return
        self._is_told = True
        known = (
            f"the deadline in {format_duration(self.deadline - self._clock.wall())}" if self.deadline else "no deadline"
        )
        self._tell("warning", f"warning: {self.system} cannot be asked ({problem}): going by {known}")
