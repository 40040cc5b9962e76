"""Advance word that this attempt will end. A signal handler notes the signal and nothing else; work is elsewhere.

Forked children inherit the handlers. A notice that goes to the whole process group must not end them before the
main process has saved, and yet `terminate()` must still work. So a child that gets SIGTERM looks whether the main
process got one too (the kernel-level wake-up socket that both share tells, even while the main process computes)
and ends only if, a second later, it has not.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
AGAIN_AFTER_S = 1.0  # batch systems send a signal twice at once; a person's second one comes later
_CHILD_WAIT_S = 1.0
_PEEK_BYTES = 4096


class Notice:
    """Whether, and why, this attempt should save and leave. `reason` is None until then: one attribute to read.

    `is_child` is set in forked children, which have no part in the run.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self.is_child = False
        self._owner = os.getpid()
        self._seen: list[tuple[int, float]] = []
        self._previous: dict[int, Any] = {}
        self._wake: tuple[socket.socket, socket.socket] | None = None

    def give(self, reason: str) -> None:
        """Ask the run to leave at its next boundary. The first reason stays."""
        if self.reason is None:
            self.reason = reason

    def install(self) -> bool:
        """Take over the signals; False outside the main thread, where Python does not allow it."""
        if threading.current_thread() is not threading.main_thread():
            return False
        self._share_wakeups()
        for number in SIGNALS:
            self._previous[number] = signal.signal(number, self._heard)
        _installed.add(self)
        return True

    def uninstall(self) -> None:
        """Give the signals back to whoever had them."""
        _installed.discard(self)
        for number, previous in self._previous.items():
            signal.signal(number, previous if previous is not None else signal.SIG_DFL)
        self._previous.clear()
        if self._wake:
            signal.set_wakeup_fd(-1)
            for end in self._wake:
                end.close()
            self._wake = None

    def again(self) -> int | None:
        """Return the signal that came a second time, later than a batch system's double; None if none did."""
        first: dict[int, float] = {}
        for number, at_s in list(self._seen):
            if at_s - first.setdefault(number, at_s) >= AGAIN_AFTER_S:
                return number
        return None

    def poll(self) -> None:
        """Note the signals that came, also while the main thread is in a long call. One thread calls this."""
        for number in self._peek()[len(self._seen) :]:
            self._note(number)

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        if os.getpid() == self._owner:
            if self._wake:
                self.give(_reason(number))  # `poll` keeps count
            else:
                self._note(number)

    def _note(self, number: int) -> None:
        self._seen.append((number, time.monotonic()))
        self.give(_reason(number))

    def _share_wakeups(self) -> None:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        previous = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        if previous != -1:  # asyncio or another has it: leave it to them
            signal.set_wakeup_fd(previous, warn_on_full_buffer=False)
            ours.close()
            theirs.close()
            return
        self._wake = (ours, theirs)

    def _peek(self) -> list[int]:
        """Return the notice signals that have reached the main process, without taking them from the socket."""
        wake = self._wake
        if wake is None:
            return []
        try:
            raw = wake[0].recv(_PEEK_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except (BlockingIOError, OSError):
            return []
        return [number for number in raw if number in SIGNALS]

    def in_child(self) -> None:
        """Set up a forked child: it survives a notice, and ends on any other SIGTERM."""
        self.is_child = True
        if self._wake:
            signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            if signal.getsignal(number) == self._heard:
                signal.signal(number, self._child_term if number == signal.SIGTERM else signal.SIG_IGN)

    def _child_term(self, number: int, _frame: FrameType | None) -> None:
        until = time.monotonic() + _CHILD_WAIT_S
        while os.getppid() == self._owner and time.monotonic() < until:
            if self._peek():
                return
            time.sleep(0.02)
        if self._peek() and os.getppid() == self._owner:
            return
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _reason(number: int) -> str:
    return f"signal {signal.Signals(number).name}"


_installed: set[Notice] = set()


_masks: list[set[int]] = []


def _before_fork() -> None:
    """Hold signals back until the child has its own handlers: none may take the parent's for its own."""
    if _installed:
        _masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS))


def _after_fork() -> None:
    if _masks:
        signal.pthread_sigmask(signal.SIG_SETMASK, _masks.pop())


def _after_fork_in_child() -> None:
    for notice in tuple(_installed):
        notice.in_child()
    _installed.clear()
    _after_fork()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
