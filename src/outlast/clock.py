"""Time as an argument: the one place that reads a clock, so that tests can bring their own."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

LATEST_S = 253_402_214_400.0  # the last day but one of the calendar; then `iso` ends


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

    monotonic = staticmethod(time.monotonic)  # itself: it is read at each step boundary

    def wall(self) -> float:
        return time.time()

    def sleep(self, seconds_s: float) -> None:
        time.sleep(seconds_s)


SYSTEM = SystemClock()


def iso(wall_s: float) -> str:
    """Format seconds since the epoch as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_iso(text: str) -> float | None:
    """Read a time back as seconds since the epoch; None if it is none, does not say its zone, or `iso` knows it not."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    wall_s = found.timestamp() if found.tzinfo else -1.0
    return wall_s if 0 <= wall_s <= LATEST_S else None
