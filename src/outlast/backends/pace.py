"""How many bytes a second may be written: threads ask before each piece, and sleep until it is their turn."""

from __future__ import annotations

import threading

from outlast.clock import Clock


class Pace:
    """A limit of the rate of all threads together.

    Args:
        clock: tells the time, and sleeps.
        rate_bytes_s: the limit; None: there is none.
    """

    def __init__(self, clock: Clock, rate_bytes_s: int | None) -> None:
        self._clock, self._rate_bytes_s = clock, rate_bytes_s
        self._lock = threading.Lock()
        self._free_at_s = 0.0

    def take(self, size_bytes: int) -> None:
        """Wait until so many bytes may be written."""
        rate = self._rate_bytes_s
        if rate is None:
            return
        with self._lock:
            now_s = self._clock.monotonic()
            begin_s = max(now_s, self._free_at_s)
            self._free_at_s = begin_s + size_bytes / rate
        while self._rate_bytes_s is not None and (left_s := begin_s - self._clock.monotonic()) > 0:
            self._clock.sleep(min(left_s, _NAP_S))

    def lift(self) -> None:
        """Let all go as fast as they can from now on: the attempt is about to end."""
        self._rate_bytes_s = None


_NAP_S = 0.1  # how soon who sleeps hears that the limit was lifted
