"""The application's process: started, its standard output passed on and searched for what says that it is finished."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence

from outlast.clock import SYSTEM
from outlast.supervise import tree

_BLOCK_BYTES = 1 << 16
_MOST_BYTES = 1 << 16
_TERM_S = 5.0


class Child:
    """A running application.

    Args:
        command: its words.
        env: its whole environment.
        pattern: what a line of its standard output says when it is finished; empty: that is not looked at.
        unless: what one says when it was stopped before.

    Raises:
        tree.StartError: it cannot be started.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str], *, pattern: str, unless: str = "") -> None:
        self._pattern = re.compile(pattern.encode()) if pattern else None
        self._unless = re.compile(unless.encode()) if unless else None
        self._rest = b""
        self.said_done = self._said_stopped = False
        self._process = tree.start(command, env, stdout=subprocess.PIPE if pattern else None)
        self.pid = self._process.pid

    def wait(self, seconds_s: float) -> int | None:
        """Wait for news for at most so long; return the exit status as a shell gives it, None while it runs."""
        with tree.opened([self.pid]) as descriptors:
            out = self._process.stdout
            ready = tree.poll([*descriptors, *([out.fileno()] if out else [])], seconds_s)
            if out and out.fileno() in ready:
                self._pass_on(out.fileno())
        status = self._process.poll()
        if status is None:
            return None
        self._drain()
        return status if status >= 0 else 128 - status

    def _pass_on(self, descriptor: int) -> bool:
        data = os.read(descriptor, _BLOCK_BYTES)
        if not data:
            if self._process.stdout:
                self._process.stdout.close()
                self._process.stdout = None
            return False
        assert self._pattern
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[-_MOST_BYTES:]
        if self._unless and any(self._unless.search(line) for line in (*lines, rest)):
            self._said_stopped = True
        self.said_done |= any(self._pattern.search(line) for line in (*lines, rest))
        self.said_done &= not self._said_stopped
        while data:
            data = data[os.write(1, data) :]
        return True

    def _drain(self) -> None:
        """Read what is left; a process that was left behind may hold the other end open."""
        while (out := self._process.stdout) and tree.poll([out.fileno()], 0) and self._pass_on(out.fileno()):
            pass

    def end(self) -> None:
        """End it, and all that it started. It must still be running: its number may be another's afterwards."""
        tree.end_tree(self.pid, term_s=_TERM_S)
        until_s = SYSTEM.monotonic() + _TERM_S
        while self.wait(1.0) is None and SYSTEM.monotonic() < until_s:
            pass
