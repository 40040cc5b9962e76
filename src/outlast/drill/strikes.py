"""When and how a run is struck. `Strike` does nothing: it is the undisturbed run. What fills disks is in `wounds`."""

from __future__ import annotations

import enum
import math
import os
import random
import signal
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

from outlast.backends import drilled
from outlast.clock import SYSTEM
from outlast.drill.live import Live
from outlast.drill.place import Place
from outlast.drill.record import Pace, Struck
from outlast.errors import PREEMPTED
from outlast.policy.restart import describe

WINDOW = (0.15, 0.85)  # of the work: where strikes fall
EARLY = (0.15, 0.6)
_LEAST = 0.02
_LEAST_CALLS = 8
_LEAST_STEPS = 5
_TINY_S = 0.3
_ROOM_S = 0.1  # from a save to the strike, and once more at most: something is to be lost
_PATIENCE_S = 2.0  # for a save that was asked for
_KILL_MARK = b'"kill"'


class Strike:
    """Hears what a run does, and strikes when it is time.

    Attributes:
        kill: a fault that the recorder in the program carries out.
        times: how often it strikes.
        holder: who holds a disk of the run's own; 0 if it has none.
        tries: after so many attempts in a row without progress the supervisor gives up.
        struck: what was done.
        problems: what the program did wrong, apart from what came of it.
        notes: what a person should know.
    """

    kill = ""
    tries = 5
    times = 1
    holder = 0

    def __init__(self) -> None:
        self.struck: list[Struck] = []
        self.problems: list[str] = []
        self.notes: list[str] = []
        self._began_s = 0.0

    @property
    def is_finished(self) -> bool:
        """Say whether all has been done to the run that was to be done."""
        return len(self.struck) >= self.times

    def prepare(self, place: Place, began_s: float) -> None:  # noqa: ARG002
        """Hear where the run works, and when it began."""
        self._began_s = began_s

    def bound_s(self, job: int) -> float | None:  # noqa: ARG002
        """Return how long a job may take (the first is 0); None for no limit."""
        return None

    def attempt_began(self, live: Live) -> None:
        """Hear that an attempt has begun."""

    def look(self, live: Live, now_s: float) -> float:  # noqa: ARG002
        """Strike if it is time; return when to be asked again at the latest."""
        return math.inf

    def is_gone(self) -> bool:
        """Say whether the whole job is to be taken away now."""
        return False

    def attempt_ended(self, live: Live, status: int) -> None:
        """Hear that an attempt has ended."""

    def job_ended(self, live: Live, status: int) -> bool:  # noqa: ARG002
        """Hear that a job has ended; say whether there is to be another one, though it did not ask for it."""
        return False

    def is_busy(self) -> bool:
        """Say whether something that the fault began still runs, when the job itself has ended."""
        return False

    def close(self) -> None:
        """Give back what is held; the run is over."""

    def _tell(self, live: Live, text: str) -> None:
        self.struck.append(Struck(text=text, at_s=round(SYSTEM.monotonic() - self._began_s, 3), step=live.step))


@dataclass(slots=True)
class Way:
    """How far a run has come, and how fast it goes: strikes in one run share it.

    Attributes:
        share: of the work.
        works_s: seconds for all of the work, as measured here; None: as the undisturbed run needed.
    """

    share: float = 0.0
    works_s: float | None = None


class _Phase(enum.Enum):
    """Where a strike stands in an attempt."""

    WAITING = "for its time"
    SAVING = "for saves that were asked for"
    LAST = "for a moment, so that something is to be lost"
    OVER = "it has struck, or does not"


class Timed(Strike, ABC):
    """Strikes at times that are drawn; before that, what takes part is asked to save.

    Args:
        pace: how the undisturbed run went.
        chance: draws.
        times: how often, each time in another attempt.
        saves: so many commits of the attempt are to be there before, if the program can be asked for them.
        window: the shares of the work between which it strikes.
        way: how far the run has come.

    Attributes:
        patience_s: how long it waits for these commits at least; then it strikes without them.
    """

    patience_s = _PATIENCE_S

    def __init__(
        self,
        pace: Pace,
        chance: random.Random,
        *,
        times: int = 1,
        saves: int = 1,
        window: tuple[float, float] = WINDOW,
        way: Way | None = None,
    ) -> None:
        super().__init__()
        self.times = times
        self._pace, self._chance, self._saves, self._way = pace, chance, saves, way or Way()
        low, high = window
        self._shares = sorted(low + (high - low) * chance.random() for _ in range(times))
        self._phase = _Phase.OVER
        self._share = self._from = 0.0
        self._at_s = self._patient_s = math.inf
        self._asked = 0

    def attempt_began(self, live: Live) -> None:
        if self.is_finished:
            self._phase = _Phase.OVER
            return
        self._phase = _Phase.WAITING
        self._from, self._share = self._reached(live), self._shares[len(self.struck)]
        self._at_s = live.attempt_s + self._pace.ready_s + self._works_s()
        self._asked = 0

    def look(self, live: Live, now_s: float) -> float:
        if self._phase is _Phase.WAITING and not self._is_early(live, now_s):
            self._phase = _Phase.SAVING if self._reached(live) < 1 else _Phase.OVER  # or it is done
            self._patient_s = now_s + self.patience_s + self._pace.works_s
        if self._phase is _Phase.SAVING and not self._is_saving(live, now_s):
            self._phase = _Phase.LAST
            self._at_s = now_s + (1 + self._chance.random()) * min(_ROOM_S, self._pace.works_s / 20)
        if self._phase is _Phase.LAST and now_s >= self._at_s:
            self._phase = _Phase.OVER
            if self._reached(live) < 1:  # meanwhile it may have come to its end
                self._measure(live)
                self.strike(live)
        return {_Phase.OVER: math.inf, _Phase.SAVING: self._patient_s}.get(self._phase, self._at_s)

    def _is_early(self, live: Live, now_s: float) -> bool:
        """Say whether the time has not come: by the steps that the recorder tells of, else by the clock."""
        steps = self._pace.steps
        if live.place.is_traced and len(steps) >= _LEAST_STEPS and _are_rising(steps):
            self._at_s = math.inf
            return live.signs.step is None or live.signs.step < steps[int(self._share * len(steps))]
        if live.signs.begun_s > live.attempt_s:
            self._at_s = live.signs.begun_s + self._works_s()
        return now_s < self._at_s

    def _is_saving(self, live: Live, now_s: float) -> bool:
        """Ask what takes part for the saves that are to be there; say whether to wait on for one."""
        if not live.signs.control or live.commits >= self._saves or now_s >= self._patient_s:
            return False
        if self._asked <= live.commits and live.ask_for_save():
            self._asked = live.commits + 1
        return True

    def _works_s(self) -> float:
        """Return how long an attempt works until it is to be struck."""
        return max(self._share - self._from, _LEAST) * (self._way.works_s or self._pace.works_s)

    def _measure(self, live: Live) -> None:
        """Note how far it has come, and how fast it is."""
        self._way.share = self._share
        gained = self._reached(live) - self._from
        if live.commits and gained > _LEAST:
            began_s = max(live.signs.begun_s, live.attempt_s)
            self._way.works_s = max(0.0, live.signs.commits[-1][0] - began_s) / gained

    def _reached(self, live: Live) -> float:
        """Return how much of the work is done: by what was saved last, where that is known."""
        if live.step is None or not self._pace.commits:
            return self._way.share
        return min(1.0, live.step / max(1, self._pace.commits[-1][1]))

    @abstractmethod
    def strike(self, live: Live) -> None:
        """Do it."""


def _are_rising(steps: tuple[int, ...]) -> bool:
    """Say whether steps count the whole run; not what each process counts from 1."""
    return all(one < other for one, other in pairwise(steps))


class Kill(Timed):
    """SIGKILL to every process of the attempt."""

    _is_struck = False

    def attempt_began(self, live: Live) -> None:
        self._is_struck = False
        super().attempt_began(live)

    def strike(self, live: Live) -> None:
        if live.kill():
            self._is_struck = True
            self._tell(live, "SIGKILL")

    def attempt_ended(self, live: Live, status: int) -> None:  # noqa: ARG002
        if self._is_struck and status == 0:
            self.struck.pop()  # it was at its end already when it was killed


class Recorded(Strike):
    """SIGKILL by the recorder in the program, where `kill` says."""

    def __init__(self, kill: str, text: str) -> None:
        super().__init__()
        self.kill, self._text = kill, text

    def attempt_ended(self, live: Live, status: int) -> None:  # noqa: ARG002
        if not self.struck:
            with suppress(FileNotFoundError), open(live.place.trace, "rb") as file:
                if _KILL_MARK in file.read():
                    self._tell(live, self._text)


class Committed(Strike):
    """SIGKILL to every process as soon as a step is reported as saved."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self._step = step

    def look(self, live: Live, now_s: float) -> float:  # noqa: ARG002
        if not self.struck and live.step is not None and live.step >= self._step and live.kill():
            self._tell(live, f"SIGKILL when step {live.step} was saved")
        return math.inf


class Called(Timed):
    """SIGKILL at a storage call of our library in the program: it is asked to save, and dies in the midst of that."""

    def __init__(
        self,
        pace: Pace,
        chance: random.Random,
        *,
        times: int,
        window: tuple[float, float] = WINDOW,
        way: Way | None = None,
    ) -> None:
        super().__init__(pace, chance, times=times, window=window, way=way)
        self._wanted = 0

    def prepare(self, place: Place, began_s: float) -> None:
        super().prepare(place, began_s)
        if self._pace.works_s < _TINY_S:  # it would be done before it could be asked to save
            self._want(place, 1 + self._chance.randrange(max(1, self._pace.calls - 1)))

    def strike(self, live: Live) -> None:
        made = _calls(live.place)
        span = max(_LEAST_CALLS, self._pace.calls // (len(self._pace.commits) + 1))
        self._want(live.place, made + 1 + self._chance.randrange(span))
        live.ask_for_save()

    def _want(self, place: Place, number: int) -> None:
        self._wanted = number
        with open(os.path.join(place.drill, drilled.KILL), "w", encoding="ascii") as file:
            file.write(str(number))

    def attempt_ended(self, live: Live, status: int) -> None:  # noqa: ARG002
        if self._wanted and _calls(live.place) >= self._wanted:
            self._tell(live, f"SIGKILL at storage call {self._wanted}")
            self._wanted = 0


def _calls(place: Place) -> int:
    return os.path.getsize(os.path.join(place.drill, drilled.CALLS))


class Changed(Strike):
    """SIGKILL to every process at the n-th change of a file in the working folder, as the kernel tells of it."""

    def __init__(self, pace: Pace, chance: random.Random) -> None:
        super().__init__()
        self._wanted = 1 + chance.randrange(max(1, pace.changes - 1))

    def look(self, live: Live, now_s: float) -> float:  # noqa: ARG002
        if not self.struck and live.signs.changes >= self._wanted and live.kill():
            self._tell(live, f"SIGKILL at change {self._wanted} of a file in its folder")
        return math.inf


class Notice(Timed):
    """SIGTERM, to the main process or to everybody."""

    def __init__(
        self,
        pace: Pace,
        chance: random.Random,
        *,
        everybody: bool,
        window: tuple[float, float] = EARLY,
        way: Way | None = None,
    ) -> None:
        super().__init__(pace, chance, saves=0, window=window, way=way)
        self._everybody = everybody
        self._struck_s = 0.0
        self._ended = 0

    def strike(self, live: Live) -> None:
        self._struck_s = SYSTEM.monotonic()
        live.signal(signal.SIGTERM, everybody=self._everybody)
        self._tell(live, "SIGTERM to every process" if self._everybody else "SIGTERM")

    def attempt_ended(self, live: Live, status: int) -> None:  # noqa: ARG002
        self._ended = status

    def job_ended(self, live: Live, status: int) -> bool:
        if not self.struck or live.began_s > self._struck_s:
            return False
        if status == PREEMPTED and not live.signs.takes_part:
            status = self._ended  # it died of the signal before its supervisor had heard the same, which then left
        took_s = SYSTEM.monotonic() - self._struck_s
        if status == PREEMPTED:
            self.notes.append(f"saved and left within {took_s:.2g} s")
        elif status == 0 and live.signs.takes_part:
            if self._went_on(live):
                self.problems.append("it did not leave when it was told to, but ran to its end")
            else:
                self.struck.clear()  # it was as good as done
        elif status == 0:
            self.notes.append("it did not leave when it was told to, but ran to its end")
        elif live.signs.takes_part:
            self.problems.append(
                f"told to leave, it ended with {describe(status)} instead of saving and leaving with 85"
            )
        else:
            self.notes.append(f"did not save when it was told to leave ({describe(status)})")
        return status != 0

    def _went_on(self, live: Live) -> bool:
        """Say whether it did more than to end the step in which it was told, and its run.

        All by what the supervisor and the recorder say: between our signal and the supervisor's word to the program,
        and from its end until we hear of it, a loaded machine may take as long as it likes.
        """
        if 0 < live.signs.steps <= live.told_steps + 1:
            return False
        return live.ended_s - live.told_s > 1 + (1 - self._way.share) * self._pace.works_s / 2


class Limit(Strike):
    """The wall time ends in the middle of the work: notice, grace, kill."""

    def __init__(self, pace: Pace, chance: random.Random) -> None:
        super().__init__()
        self._bound_s = pace.ready_s + (0.25 + 0.35 * chance.random()) * pace.works_s

    def bound_s(self, job: int) -> float | None:
        return self._bound_s if job == 0 else None

    def job_ended(self, live: Live, status: int) -> bool:
        if self.struck or status == 0:
            return False
        self._tell(live, f"the wall time of {self._bound_s:.2g} s was over")
        self.notes.append("saved and left in time" if status == PREEMPTED else f"ended with {describe(status)}")
        return True


class Again(Strike):
    """It is started again after it was done."""

    def job_ended(self, live: Live, status: int) -> bool:
        if self.struck:
            if status != 0:
                self.problems.append(f"started again after it was done, it ended with {describe(status)}")
            elif live.commits:
                self.problems.append(
                    "started again after it was done, it saved again: it did not know that it was done"
                )
            return False
        if status == 0:
            self._tell(live, "started again")
        return status == 0


class Sequence(Strike):
    """Several strikes in one run, one after the other. What none of them has come to is not struck.

    Args:
        parts: in their order; `Again` last, if at all.
    """

    def __init__(self, parts: tuple[Strike, ...]) -> None:
        super().__init__()
        self._parts, self._at = parts, 0
        self.tries = sum(part.tries for part in parts)

    @property
    def _now(self) -> Strike:
        return self._parts[self._at]

    def prepare(self, place: Place, began_s: float) -> None:
        for part in self._parts:
            part.prepare(place, began_s)

    def attempt_began(self, live: Live) -> None:
        while self._now.is_finished and self._at < len(self._parts) - 1:
            self._at += 1
        self._now.attempt_began(live)

    def look(self, live: Live, now_s: float) -> float:
        next_s = self._now.look(live, now_s)
        self._gather()
        return next_s

    def is_gone(self) -> bool:
        return self._now.is_gone()

    def attempt_ended(self, live: Live, status: int) -> None:
        self._now.attempt_ended(live, status)
        self._gather()

    def job_ended(self, live: Live, status: int) -> bool:
        if status == 0:
            self._at = len(self._parts) - 1
        wants_more = self._now.job_ended(live, status)
        self._gather()
        return wants_more

    def _gather(self) -> None:
        self.struck = [one for part in self._parts for one in part.struck]
        self.problems = [one for part in self._parts for one in part.problems]
        self.notes = [one for part in self._parts for one in part.notes]
