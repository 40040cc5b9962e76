"""Time as an argument: the one place that reads a clock, so that tests can bring their own."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the rest of outlast knows of time. Seconds everywhere."""

    def monotonic(self) -> float:
        """Return a clock that never jumps, for durations."""
        ...

    def wall(self) -> float:
        """Return seconds since the epoch: for people, and for the scheduler's deadlines."""
        ...

    def sleep(self, seconds_s: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's clocks."""

    __slots__ = ()

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    def sleep(self, seconds_s: float) -> None:
        time.sleep(seconds_s)


SYSTEM = SystemClock()


def iso(wall_s: float) -> str:
    """Format seconds since the epoch as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
