"""Signals as things to read: handlers note nothing but the number, and one wait serves signals and processes."""

from __future__ import annotations

import enum
import os
import signal
from collections.abc import Iterable
from types import FrameType, TracebackType
from typing import Any, Self

from outlast.clock import SYSTEM
from outlast.errors import UsageError
from outlast.supervise import tree

NOTICES = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2})
_IGNORABLE = frozenset({signal.SIGINT, signal.SIGHUP})  # nohup, and `&` in scripts: what they ignore stays ignored
_REPEATED = frozenset({signal.SIGUSR1, signal.SIGUSR2})
_READ_BYTES = 4096
AGAIN_AFTER_S = 1.0


class Inbox:
    """Takes over the notice signals and SIGCHLD while it is entered, in the main thread."""

    def __init__(self) -> None:
        self._previous: dict[int, Any] = {}
        self._previous_descriptor = -1
        self._ends = (-1, -1)

    def __enter__(self) -> Self:
        self._ends = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self._previous_descriptor = signal.set_wakeup_fd(self._ends[1], warn_on_full_buffer=False)
        except ValueError as e:
            self._close()
            raise UsageError("a command can only be supervised from the main thread: signals arrive there") from e
        for number in (*NOTICES, signal.SIGCHLD):
            if number in _IGNORABLE and signal.getsignal(number) is signal.SIG_IGN:
                continue
            self._previous[number] = signal.signal(number, _noted)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, previous in self._previous.items():
            signal.signal(number, previous if previous is not None else signal.SIG_DFL)
        signal.set_wakeup_fd(self._previous_descriptor)
        self._close()

    def wait(self, descriptors: Iterable[int], timeout_s: float) -> tuple[int, ...]:
        """Wait for a signal, or one of the descriptors, or the end of the time. Returns the notice signals."""
        if self._ends[0] not in tree.poll((self._ends[0], *descriptors), timeout_s):
            return ()
        return tuple(number for number in os.read(self._ends[0], _READ_BYTES) if number in NOTICES)

    def sleep(self, seconds_s: float) -> tuple[int, ...]:
        """Wait so long, whatever ends meanwhile; less if notice signals come. Returns those."""
        until_s = SYSTEM.monotonic() + seconds_s
        while (left_s := until_s - SYSTEM.monotonic()) > 0:
            if notices := self.wait((), left_s):
                return notices
        return self.wait((), 0.0)

    def _close(self) -> None:
        for descriptor in self._ends:
            os.close(descriptor)


def _noted(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the number is in the pipe already."""


class Meaning(enum.Enum):
    """What a signal says."""

    NOTICE = "leave"
    DOUBLE = "the same once more"  # batch systems send a signal twice, or another with it
    HURRY = "leave now"


class Bell:
    """Tells a first notice from its double, and from a person who has lost patience.

    Ctrl-C after any earlier notice, or a signal that came before, means: now; unless within the second in which
    batch systems send their doubles. A TERM that follows a USR1 is a batch system's last word, not impatience; nor is
    a USR1 or USR2 that comes again: batch systems repeat them, for another reason or without one.
    """

    __slots__ = ("_first_s",)

    def __init__(self) -> None:
        self._first_s: dict[int, float] = {}

    def ring(self, number: int, now_s: float) -> Meaning:
        """Take a signal that came at `now_s`."""
        if not self._first_s:
            self._first_s[number] = now_s
            return Meaning.NOTICE
        if number in _REPEATED:
            return Meaning.DOUBLE
        since_s = min(self._first_s.values()) if number == signal.SIGINT else self._first_s.setdefault(number, now_s)
        return Meaning.HURRY if now_s - since_s >= AGAIN_AFTER_S else Meaning.DOUBLE
