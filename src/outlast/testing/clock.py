"""A clock that moves only when it is told to."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class FakeClock:
    """Satisfies `outlast.clock.Clock`; `sleep` moves it on and remembers for how long."""

    now_s: float = 0.0
    epoch_s: float = 1_700_000_000.0
    slept_s: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return self.epoch_s + self.now_s

    def sleep(self, seconds_s: float) -> None:
        self.slept_s.append(seconds_s)
        self.now_s += seconds_s
