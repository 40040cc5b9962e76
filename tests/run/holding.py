"""Programs that wait for the test: what a test is about to strike must not be over first, however slow the machine is.

A program calls `hold` in each step. It stands still there from the step that the test has named until the test lets it
go, while its threads save, beat and listen as ever.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

POLL_S = 0.01
BOUND_S = 280.0  # a test has as long: no program outlives one that was killed


class Hold:
    """The test's end: a file that holds the number of steps from which on a program waits."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def at(self, steps: int) -> None:
        """Have the program wait once it has done so many steps; one that waits goes on to there."""
        new = self.path.with_name(f"{self.path.name}.new")
        new.write_text(str(steps))
        new.replace(self.path)  # whole: the program may read at any time

    def release(self) -> None:
        """Let it go on to its end."""
        self.path.unlink(missing_ok=True)


def hold(path: str, steps: int, is_over: Callable[[], bool] = lambda: False) -> None:
    """Wait, in the program, as long as the test has it wait at this step, or until something else ends the wait."""
    until_s = time.monotonic() + BOUND_S
    while steps >= _held_from(path) and not is_over() and time.monotonic() < until_s:
        time.sleep(POLL_S)


def _held_from(path: str) -> float:
    try:
        with open(path) as file:
            return int(file.read())
    except FileNotFoundError:
        return math.inf
