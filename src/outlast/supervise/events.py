"""What the supervisor tells: sentences on stderr, or one JSON object a line. Stdout belongs to the command."""

from __future__ import annotations

import json
import sys
from typing import Any, Protocol

from outlast.clock import SYSTEM, Clock, iso


class Tell(Protocol):
    """Hears what happens."""

    def __call__(self, event: str, text: str = "", **fields: Any) -> None:
        """Take an event.

        Args:
            event: start, notice, kill, end, left, or a decision: restart, give-up, finish.
            text: the sentence for people; empty for what only programs want to know.
            fields: JSON-safe values.
        """
        ...


def sentences(event: str, text: str = "", **_fields: Any) -> None:
    """Print what people want to know on stderr."""
    del event
    if text:
        _write(f"outlast: {text}")


class JsonLines:
    """Prints every event as one JSON object a line on stderr."""

    __slots__ = ("_clock",)

    def __init__(self, clock: Clock = SYSTEM) -> None:
        self._clock = clock

    def __call__(self, event: str, text: str = "", **fields: Any) -> None:
        _write(json.dumps({"event": event, "at": iso(self._clock.wall()), "text": text, **fields}))


def _write(line: str) -> None:
    if sys.stderr is None:  # closed before Python began: a daemon's
        return
    try:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        return  # a closed terminal must not end the computation
