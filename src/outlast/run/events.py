"""What a run tells: a line for people on stderr, or one JSON object a line where OUTLAST_EVENTS=json asks for it."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from outlast.clock import Clock, iso
from outlast.terminal import visible


class Events:
    """Says what happens, once, to whoever listens.

    OUTLAST_EVENTS=json writes JSON lines, OUTLAST_EVENTS=quiet nothing but warnings, anything else sentences.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._form = os.environ.get("OUTLAST_EVENTS", "text")
        self._rank = 0

    def of_rank(self, rank: int) -> None:
        """Speak for another rank than 0 from now on: of what all ranks see it says nothing."""
        self._rank = rank

    def tell(self, event: str, text: str, **fields: Any) -> None:
        """Report an event: `text` for people, `fields` for programs."""
        if self._rank and event != "warning":
            return
        if self._form == "json":
            self._write(json.dumps({"event": event, "at": iso(self._clock.wall()), "text": text, **fields}))
        elif self._form != "quiet":
            self._write(f"outlast: {text}")

    def warn(self, text: str, **fields: Any) -> None:
        """Report what the user should act upon; never silenced."""
        text = f"rank {self._rank}: {text}" if self._rank else text
        if self._form == "json":
            self.tell("warning", text, **fields)
        else:
            self._write(f"outlast: warning: {text}")

    def _write(self, line: str) -> None:
        if sys.stderr is None:  # closed before Python began: a daemon's
            return
        try:
            shown = "\n".join(map(visible, line.split("\n")))  # reports and hints have lines of their own
            sys.stderr.write(f"{shown}\n")  # at once: print would write the line's end apart, and threads tell too
            sys.stderr.flush()
        except (OSError, ValueError):
            return  # a closed terminal must not end the computation
