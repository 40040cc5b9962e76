"""Orbax decides when to save by our interval, and hears our notices: a save-decision policy, and the way out.

Orbax writes and restores its own checkpoints; outlast has no store of its own here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self, cast

from outlast.clock import SYSTEM, Clock
from outlast.errors import Preempted
from outlast.run.notice import Notice
from outlast.run.saver import Saver
from outlast.run.schedule import Schedule


class _Saves:
    """What the schedule asks of those who save: how long it took so far."""

    def __init__(self) -> None:
        self.busy = False
        self.blocked_s: list[float] = []
        self.latency_s: list[float] = []


class Interval:
    """An `orbax.checkpoint` save-decision policy: the interval that loses the least time, and a last save on notice.

    Give it to `CheckpointManagerOptions(save_decision_policy=...)`, use it as a block around the loop, and call
    `boundary` after each `manager.save(...)`. SIGTERM, SIGUSR1, SIGINT and the end in OUTLAST_DEADLINE are notices.

    Args:
        every: "auto", "5%", "10min" or a number of steps, as of `outlast.Run`.
        deadline: seconds since the epoch; None takes OUTLAST_DEADLINE.
        clock: a seam for tests.
    """

    def __init__(self, every: str | int = "auto", *, deadline: float | None = None, clock: Clock = SYSTEM) -> None:
        self._schedule = Schedule(every, deadline=deadline, clock=clock, warn=_say)
        self._clock, self._saves, self._notice = clock, _Saves(), Notice()
        self._is_first = True
        self._begun_s: float | None = None  # of the save under way
        self._blocked_since_s: float | None = None
        self._leaving: str | None = None

    def should_save(self, step: Any, previous_steps: Sequence[Any], *, context: Any) -> bool:
        """Decide, as Orbax asks at each `manager.save`."""
        self._look(is_saving=context.is_saving_in_progress)
        if self._is_first:
            self._is_first = False
            self._saved(previous_steps[-1].step if previous_steps else step.step)
        reason = self._notice.reason or ("Orbax was told of a preemption" if context.reached_preemption else None)
        is_due = reason is not None or self._schedule.is_due(step.step, cast("Saver", self._saves))
        self._leaving = reason or self._schedule.last_call
        if is_due:
            self._begun_s = self._blocked_since_s = self._clock.monotonic()
        return is_due

    def boundary(self, manager: Any) -> None:
        """Go on after `manager.save`; after a notice, wait until that is durable, and leave.

        Args:
            manager: the `CheckpointManager`.

        Raises:
            Preempted: notice was given; leaves with status 85.
        """
        if self._blocked_since_s is not None:
            self._saves.blocked_s.append(self._clock.monotonic() - self._blocked_since_s)
            self._blocked_since_s = None
            self._saved(manager.latest_step())
        if self._leaving is not None:
            manager.wait_until_finished()
            _say(f"{self._leaving}: saved step {manager.latest_step()} and leaving")
            raise Preempted(self._leaving)

    def __enter__(self) -> Self:
        if not self._notice.install():
            _say("not in the main thread: signals are not heard")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._notice.uninstall(leaving=isinstance(error, Preempted))

    def _look(self, *, is_saving: bool) -> None:
        """Note how long a save took until it was durable, as seen at the boundaries."""
        self._saves.busy = is_saving
        if self._begun_s is not None and not is_saving:
            self._saves.latency_s.append(self._clock.monotonic() - self._begun_s)
            self._begun_s = None

    def _saved(self, step: int) -> None:
        self._schedule.saved(step, cast("Saver", self._saves))


def _say(text: str) -> None:
    print(f"outlast: {text}", file=sys.stderr)  # noqa: T201  (there is no run whose events could tell it)
