"""When to ask a program that saves files for its next save: as often as a Python run saves by itself.

What a save costs such a program only it knows. From outside the time from when it has heard until its save is there
comes closest, seen as often as somebody looks.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Sequence
from datetime import datetime

from outlast.clock import Clock
from outlast.errors import UsageError
from outlast.policy.interval import Costs, Plan, Rate, known_rate, learned_rate, parse_every, plan
from outlast.store import AttemptLog
from outlast.store.lease import RUN
from outlast.units import parse_duration

MTBF = "OUTLAST_MTBF"
_REMEMBERED = 32
_LOST = ("killed", "failed")


class Asking:
    """Keeps the time between saves.

    Args:
        every: "auto", "5%" or a time.
        clock: time.

    Raises:
        UsageError: `every` is none of these.
    """

    def __init__(self, every: str, clock: Clock) -> None:
        self._every, self._clock = parse_every(every), clock
        self._rate = learned_rate(0, 0.0)
        self._blocked_s: deque[float] = deque(maxlen=_REMEMBERED)
        self._latency_s: deque[float] = deque(maxlen=_REMEMBERED)
        self._last_s = clock.monotonic()
        self._heard_s: float | None = None
        self._is_asked = False
        self.plan: Plan = plan(self._every, Costs(), self._rate)

    def learn(self, logs: Sequence[AttemptLog]) -> None:
        """Take into account how often the run was interrupted without notice."""
        past = [log for log in logs[:-1] if (log.first("claim") or {}).get("role", RUN) == RUN]
        events = sum(1 for log in past if (log.last("ended") or {"outcome": "killed"})["outcome"] in _LOST)
        self._rate = _given_rate() or learned_rate(events, sum(map(_duration_s, past)))
        self._replan()

    def is_due(self) -> bool:
        """Say whether a save is to be asked for now; once it was, not again before `saved`."""
        seconds_s = math.inf if self.plan.seconds_s is None else self.plan.seconds_s
        return not self._is_asked and self._clock.monotonic() - self._last_s >= seconds_s

    @property
    def is_waiting(self) -> bool:
        """Whether the program was asked, and has not saved since."""
        return self._is_asked

    def asked(self) -> None:
        self._is_asked = True

    def heard(self) -> None:
        """Note that the program has taken the request away."""
        if self._is_asked and self._heard_s is None:
            self._heard_s = self._clock.monotonic()

    def saved(self, *, seen_s: float, took_s: float) -> None:
        """Note a save.

        Args:
            seen_s: when it was there, by the monotonic clock.
            took_s: how long it took from then on until it was durable.
        """
        blocked_s = took_s if self._heard_s is None else max(0.0, seen_s - self._heard_s)
        self._blocked_s.append(blocked_s)
        self._latency_s.append(blocked_s + took_s)
        self._last_s, self._heard_s, self._is_asked = self._clock.monotonic(), None, False
        self._replan()

    def _replan(self) -> None:
        costs = Costs()
        if self._blocked_s:
            from statistics import median

            costs = Costs(blocked_s=median(self._blocked_s), latency_s=median(self._latency_s))
        self.plan = plan(self._every, costs, self._rate)


def _given_rate() -> Rate | None:
    """Return how often this partition interrupts, if somebody has said so."""
    text = os.environ.get(MTBF, "")
    if not text:
        return None
    try:
        mtbf_s = parse_duration(text)
    except (ValueError, UsageError):
        mtbf_s = math.nan
    if math.isfinite(mtbf_s) and mtbf_s > 0:
        return known_rate(mtbf_s)
    raise UsageError(f'{MTBF}={text!r}: expected a time such as "6h"')


def _duration_s(log: AttemptLog) -> float:
    """Return how long an attempt is known to have run."""
    try:
        times = [datetime.fromisoformat(str(event["at"])) for event in (log.events[0], log.events[-1])]
    except (IndexError, KeyError, ValueError):
        return 0.0
    return max(0.0, (times[1] - times[0]).total_seconds())
