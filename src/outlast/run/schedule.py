"""When the next save is due, asked at every boundary: a comparison or two, the thinking is done once a save."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection
from datetime import datetime

from outlast.clock import Clock
from outlast.errors import UsageError
from outlast.policy import deadline as deadlines
from outlast.policy.interval import Costs, Plan, known_rate, learned_rate, parse_every, plan
from outlast.run.saver import Saver, median
from outlast.store import AttemptLog
from outlast.units import format_duration, parse_duration

_QUANTILE = 0.95
_LOST = ("killed", "failed")
_EARLIER_S = 1e-3  # by so much sooner the sum is done exactly
_RECENT = 5  # attempts whose saves say how long the next ones take


class Schedule:
    """Compares the loop's progress with the plan.

    Args:
        every: as the user gave it.
        deadline: seconds since the epoch, or None for OUTLAST_DEADLINE.
        clock: time.
        warn: told of a deadline that is over already.

    Attributes:
        size_bytes: the state's size, for a guess before the first save.
        plan: what is followed at present, with its reason.
        last_call: why this is the last boundary at which a save fits before the deadline; None if it is not.
    """

    def __init__(
        self, every: str | int, *, deadline: float | None, clock: Clock, warn: Callable[[str], object]
    ) -> None:
        self.size_bytes = 0
        self.last_call: str | None = None
        self._monotonic = clock.monotonic
        self._every, self._clock = parse_every(every), clock
        given = deadline if deadline is not None else _number("OUTLAST_DEADLINE", float, "seconds since the epoch")
        self._deadline_s = self._to_monotonic(given, warn)
        self._window_s = math.inf if self._deadline_s is None else self._deadline_s - clock.monotonic()
        self._margin_s = deadlines.margin_s(self._window_s)
        mtbf_s = _number("OUTLAST_MTBF", parse_duration, 'a time such as "6h"')
        self._known = known_rate(mtbf_s) if mtbf_s else None
        self._rate = self._known or learned_rate(0, 0.0)
        self._costs = Costs()
        self._save_s: float | None = None
        self._last_step = 0
        self._last_s = self._boundary_s = clock.monotonic()
        self._longest_s = 0.0
        self._late_s = math.inf
        self.plan: Plan = plan(self._every, self._costs, self._rate)
        self._arm()

    def learn(self, logs: tuple[AttemptLog, ...]) -> None:
        """Take the run's past into account: how often it was interrupted without notice, how long its saves took."""
        past = [log for log in logs[:-1] if (log.first("claim") or {}).get("role", "run") == "run"]
        exposure_s = sum(map(_duration_s, past))
        events = sum(1 for log in past if (log.last("ended") or {"outcome": "killed"})["outcome"] in _LOST)
        self._rate = self._known or learned_rate(events, exposure_s)
        self._save_s = _quantile([s for log in past[-_RECENT:] for s in log.save_seconds()])
        self.plan = plan(self._every, self._costs, self._rate)

    def is_due(self, step: int, saver: Saver) -> bool:
        """Say whether a save is due at this boundary; `last_call` says whether it is the last one.

        None is due while one is under way, unless steps were asked for. The clock is read once, and only if it matters.
        """
        if not self._is_timed:
            return step - self._last_step >= self._limit_steps
        now_s = self._monotonic()
        gap_s, self._boundary_s = now_s - self._boundary_s, now_s
        if gap_s > self._longest_s:  # noqa: PLR1730  (a call of max costs more than all the rest)
            self._longest_s = gap_s
        if now_s + self._longest_s > self._late_s and self._is_last(now_s):
            return True
        if step - self._last_step >= self._limit_steps:
            return True
        return now_s - self._last_s >= self._limit_s and not saver.busy

    def _is_last(self, now_s: float) -> bool:
        """Say whether this is the last boundary at which a save fits before the deadline."""
        deadline_s = self._deadline_s
        if deadline_s is None:  # taken back just now
            return False
        left_s = deadline_s - now_s
        self.last_call = deadlines.last_call(
            left_s, save_s=self._expected_s, step_s=self._longest_s, margin_s=self._margin_s
        )
        return self.last_call is not None

    def saved(self, step: int, saver: Saver) -> None:
        """Note that a save has begun, and plan the next."""
        self._last_step = step
        self._last_s = self._boundary_s = self._clock.monotonic()
        self._costs = Costs(blocked_s=median(saver.blocked_s), latency_s=median(saver.latency_s))
        if saver.latency_s:
            self._save_s = _quantile(saver.latency_s)
        self.plan = plan(self._every, self._costs, self._rate)
        self._arm()

    def move_deadline(self, wall_s: float | None) -> None:
        """Take another deadline, in seconds since the epoch. From any thread: the loop sees it at its next boundary."""
        self._deadline_s = None if wall_s is None else self._clock.monotonic() + wall_s - self._clock.wall()
        self._arm()

    def _arm(self) -> None:
        """Work out what a boundary has to compare with."""
        steps, seconds_s = self.plan.steps, self.plan.seconds_s
        self._limit_steps: float = math.inf if steps is None else steps
        self._limit_s = math.inf if seconds_s is None or steps is not None else seconds_s
        self._is_timed = steps is None or self._deadline_s is not None
        assumed_s = deadlines.assumed_save_s(self.size_bytes, self._window_s)
        self._expected_s = assumed_s if self._save_s is None else self._save_s
        deadline_s = self._deadline_s
        late_s = math.inf if deadline_s is None else deadline_s - self._expected_s - self._margin_s - _EARLIER_S
        self._late_s = late_s

    def _to_monotonic(self, wall_s: float | None, warn: Callable[[str], object]) -> float | None:
        if wall_s is None:
            return None
        left_s = wall_s - self._clock.wall()
        if left_s <= 0:
            warn(f"the deadline was {format_duration(-left_s)} ago (deadline=, OUTLAST_DEADLINE): not used")
            return None
        return self._clock.monotonic() + left_s


def _number(name: str, parse: Callable[[str], float], expected: str) -> float | None:
    """Return a number from the environment; None if it is not set."""
    text = os.environ.get(name, "")
    if not text:
        return None
    try:
        number = parse(text)
    except (ValueError, UsageError):
        number = math.nan
    if math.isfinite(number) and number >= 0:
        return number
    raise UsageError(f"{name}={text!r}: expected {expected}")


def _quantile(values: Collection[float]) -> float | None:
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(_QUANTILE * len(ranked)))] if ranked else None


def _duration_s(log: AttemptLog) -> float:
    """Return how long an attempt is known to have run."""
    try:
        times = [datetime.fromisoformat(str(event["at"])) for event in (log.events[0], log.events[-1])]
    except (IndexError, KeyError, ValueError):
        return 0.0
    return max(0.0, (times[1] - times[0]).total_seconds())
