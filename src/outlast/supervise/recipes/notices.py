"""What the supervisor tells us by its files (stop, save, the deadline), and what we tell people."""

from __future__ import annotations

import json
import math
import os
import sys
from contextlib import suppress


class Notices:
    """The control folder of an attempt.

    Args:
        folder: OUTLAST_CONTROL.
        deadline_s: OUTLAST_DEADLINE, in seconds since the epoch; infinite if there is none.
    """

    def __init__(self, folder: str, deadline_s: float) -> None:
        self._folder = folder
        self._first_s = deadline_s

    def has(self, name: str) -> bool:
        return os.path.lexists(os.path.join(self._folder, name))

    def forget(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(self._folder, name))

    def make(self, name: str) -> None:
        with open(os.path.join(self._folder, name), "w", encoding="utf-8"):
            pass

    def deadline_s(self) -> float:
        """Return when the attempt will be killed, in seconds since the epoch; infinite if nobody knows."""
        try:
            with open(os.path.join(self._folder, "deadline"), encoding="utf-8") as file:
                found = json.load(file)["deadline"]
            return math.inf if found is None else float(found)
        except (OSError, ValueError, KeyError, TypeError):
            return self._first_s


def say(text: str) -> None:
    """Say something to people, on standard error."""
    sys.stderr.write(f"outlast: {text}\n")
    sys.stderr.flush()
