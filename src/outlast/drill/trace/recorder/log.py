"""The trace's lines: one append each, so that a SIGKILL takes none that was told."""

from __future__ import annotations

import json
import os
from typing import Any

_MOST_BYTES = 128 << 20  # of a process: a trace of millions of steps helps nobody


class Log:
    """Writes lines for the process that it was made in; in a forked child it is silent."""

    def __init__(self, path: str) -> None:
        env = os.environ
        self.path = path
        self.pid = os.getpid()
        self._attempt = env.get("OUTLAST_TRACE_ATTEMPT") or env.get("OUTLAST_CONTROL") or str(self.pid)
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._left = _MOST_BYTES

    @property
    def is_silent(self) -> bool:
        """Whether nothing more is told here."""
        return self._left <= 0 or os.getpid() != self.pid

    def tell(self, event: str, **members: Any) -> None:
        """Append a line."""
        if self.is_silent:
            return
        line = json.dumps({"e": event, "p": self.pid, "a": self._attempt, **members}, default=str)
        self._left -= len(line)
        if self._left <= 0:
            text = f"the trace is over {_MOST_BYTES} bytes: later steps are not in it"
            line = json.dumps({"e": "problem", "p": self.pid, "a": self._attempt, "text": text})
        try:
            os.write(self._fd, f"{line}\n".encode())
        except OSError:  # a full disk: the program is to meet it, not us
            self._left = 0

    def told(self, event: str) -> bool:
        """Say whether the trace, by whatever process, has a line of a kind."""
        with open(self.path, "rb") as file:
            return any(line.startswith(f'{{"e": "{event}"'.encode()) for line in file)
