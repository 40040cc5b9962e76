"""Advance word that this attempt will end. A signal handler notes the signal and nothing else; work is elsewhere.

Forked children inherit the handlers. A notice that goes to the whole process group must not end them before the
main process has saved, and yet `terminate()` must still work. So a child that gets SIGTERM looks whether the main
process got one too and ends only if, a second later, it has not. The kernel tells, as long as the main process was
given no time to take it; the wake-up socket that both share tells, even while the main process computes, and a byte
of shared memory once it was read.
"""

from __future__ import annotations

import atexit
import mmap
import os
import signal
import socket
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Any

from outlast.errors import PREEMPTED

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
AGAIN_AFTER_S = 1.0  # batch systems send a signal twice at once; a person's second one comes later
_CHILD_WAIT_S = 1.0
_PEEK_BYTES = 4096
_PENDING = (b"SigPnd", b"ShdPnd")  # in /proc/PID/status: the main thread's, the process's


class Notice:
    """Whether, and why, this attempt should save and leave. `reason` is None until then: one attribute to read.

    `is_child` is set in forked children, which have no part in the run.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self.is_child = False
        self._owner = os.getpid()
        self._first_s: dict[int, float] = {}
        self._again: int | None = None
        self._polled_s = time.monotonic()
        self._shared = mmap.mmap(-1, 1)  # not zero: the main process has taken a notice signal
        self._previous: dict[int, Any] = {}
        self._wake: tuple[socket.socket, socket.socket] | None = None

    def give(self, reason: str) -> None:
        """Ask the run to leave at its next boundary. The first reason stays."""
        if self.reason is None:
            self.reason = reason

    def install(self) -> bool:
        """Take over the signals; False outside the main thread, where Python does not allow it."""
        _installed.add(self)
        if threading.current_thread() is not threading.main_thread():
            return False
        self._share_wakeups()
        for number in SIGNALS:
            self._previous[number] = signal.signal(number, self._heard)
        return True

    def uninstall(self, *, leaving: bool = False) -> None:
        """Give the signals back to whoever had them.

        Args:
            leaving: all is saved, and the process leaves with status 85. So it does if one more signal comes on the
                way out, and not with that signal's: whoever started us goes by the status.
        """
        _installed.discard(self)
        for number, previous in self._previous.items():
            restored: Any = previous if previous is not None else signal.SIG_DFL
            signal.signal(number, self._left if leaving else restored)
        if leaving and self._previous:
            atexit.register(_ignore)  # the interpreter takes handlers away as it ends, but leaves what is ignored
        self._previous.clear()
        if self._wake:
            signal.set_wakeup_fd(-1)
            for end in self._wake:
                end.close()
            self._wake = None

    def again(self) -> int | None:
        """Return the signal that asked to leave at once; None if none did.

        That is one that came before, or SIGINT after any, later than a batch system's double.
        """
        return self._again

    def poll(self) -> None:
        """Note the signals that came, also while the main thread is in a long call. One thread calls this."""
        before_s, self._polled_s = self._polled_s, time.monotonic()
        for number in self._take():
            self._note(number, earliest_s=before_s, latest_s=self._polled_s)

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        if os.getpid() == self._owner:
            if self._wake:  # `poll` keeps count
                self._first_s.setdefault(number, time.monotonic())
                self.give(_reason(number))
            else:
                self._shared[0] = 1  # no socket of ours tells the children
                now_s = time.monotonic()
                self._note(number, earliest_s=now_s, latest_s=now_s)

    def _note(self, number: int, *, earliest_s: float, latest_s: float) -> None:
        """Take a signal that came between two moments; only what is sure to come late counts as a second one."""
        first = self._first_s
        since_s = min(first.values(), default=latest_s) if number == signal.SIGINT else first.get(number, latest_s)
        if earliest_s - since_s >= AGAIN_AFTER_S:
            self._again = number
        first.setdefault(number, latest_s)
        self.give(_reason(number))

    def _left(self, _number: int, _frame: FrameType | None) -> None:
        """Leave at once, unless this is only the double of the notice: then the way out is short enough."""
        if time.monotonic() - min(self._first_s.values(), default=-AGAIN_AFTER_S) >= AGAIN_AFTER_S:
            os._exit(PREEMPTED)

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

    def _take(self) -> list[int]:
        """Return the notice signals that have reached this process, and make room in the socket for more."""
        if self._wake is None:
            return []
        found = self._peek()
        if found:
            self._shared[0] = 1  # before they are taken from the socket: a child looks at both
        raw = b""
        with suppress(BlockingIOError):
            raw = self._wake[0].recv(_PEEK_BYTES, socket.MSG_DONTWAIT)
        return [number for number in raw if number in SIGNALS]

    def _peek(self) -> list[int]:
        """Return the notice signals in the socket, and leave them there."""
        if self._wake is None:
            return []
        try:
            raw = self._wake[0].recv(_PEEK_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except (BlockingIOError, OSError):
            return []
        return [number for number in raw if number in SIGNALS]

    def _parent_was_told(self) -> bool:
        """Look at the places in the order in which a signal passes through them: so it slips past none."""
        return self._waits_in_kernel() or bool(self._peek()) or self._shared[0] != 0

    def _waits_in_kernel(self) -> bool:
        """Whether the main process has a notice to take: stopped, in a long system call, or on a machine too busy."""
        pending = 0
        with suppress(OSError), open(f"/proc/{self._owner}/status", "rb") as status:
            for line in status:
                name, _, value = line.partition(b":")
                if name in _PENDING:
                    pending |= int(value, 16)
        return any(pending >> (number - 1) & 1 for number in SIGNALS)

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
            if self._parent_was_told():
                return
            time.sleep(0.02)
        if self._parent_was_told() and os.getppid() == self._owner:
            return
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _reason(number: int) -> str:
    return f"signal {signal.Signals(number).name}"


def _ignore() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


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
