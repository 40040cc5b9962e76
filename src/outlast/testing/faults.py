"""Storage calls that count themselves, and at a chosen one fail, stop or kill this very process."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from outlast.backends import Syscalls

When = Literal["before", "after", "torn"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens at the `at`-th call (from 1).

    Args:
        at: which call, among those of the kinds in `only` (all, if empty).
        signal: send this process a signal (SIGKILL, SIGSTOP ...).
        errno: fail with this error instead.
        when: `before` the call, `after` it, or `torn`: half of a write is done first.
        lasting: every later call of these kinds fails too.
        only: names of calls, e.g. ("fsync",).
    """

    at: int
    signal: int | None = None
    errno: int | None = None
    when: When = "before"
    lasting: bool = False
    only: tuple[str, ...] = ()


class CountedCalls(Syscalls):
    """The real calls, counted by name, with at most one fault.

    Attributes:
        counts: calls so far, by name. `written_bytes`: bytes given to the kernel.
        log: the calls in order, by name.
    """

    def __init__(self, fault: Fault | None = None, *, hook: Callable[[str], None] | None = None) -> None:
        self.fault, self.hook = fault, hook
        self.counts: Counter[str] = Counter()
        self.log: list[str] = []
        self.written_bytes = 0
        self._matched = 0

    def open(self, path: str, flags: int, mode: int = 0o600, *, dir_fd: int | None = None) -> int:
        name = "create" if flags & os.O_CREAT else "open"
        return int(self._do(name, lambda: super(CountedCalls, self).open(path, flags, mode, dir_fd=dir_fd)))

    def close(self, fd: int) -> None:
        self._do("close", lambda: super(CountedCalls, self).close(fd), undo=lambda: os.close(fd))

    def writev(self, fd: int, buffers: Sequence[Any]) -> int:
        def torn() -> None:
            data = b"".join(bytes(b) for b in buffers)
            os.write(fd, data[: len(data) // 2])

        done = int(self._do("write", lambda: super(CountedCalls, self).writev(fd, buffers), torn=torn))
        self.written_bytes += done
        return done

    def preadv(self, fd: int, buffers: Sequence[Any], at: int) -> int:
        return int(self._do("read", lambda: super(CountedCalls, self).preadv(fd, buffers, at)))

    def fsync(self, fd: int) -> None:
        self._do("fsync", lambda: super(CountedCalls, self).fsync(fd))

    def link(self, path: str, to: str, *, dir_fd: int) -> None:
        self._do("link", lambda: super(CountedCalls, self).link(path, to, dir_fd=dir_fd))

    def unlink(self, path: str, *, dir_fd: int) -> None:
        self._do("unlink", lambda: super(CountedCalls, self).unlink(path, dir_fd=dir_fd))

    def rename(self, path: str, to: str, *, dir_fd: int, to_dir_fd: int) -> None:
        self._do("rename", lambda: super(CountedCalls, self).rename(path, to, dir_fd=dir_fd, to_dir_fd=to_dir_fd))

    def mkdir(self, path: str, mode: int = 0o700, *, dir_fd: int | None = None) -> None:
        self._do("mkdir", lambda: super(CountedCalls, self).mkdir(path, mode, dir_fd=dir_fd))

    def rmdir(self, path: str, *, dir_fd: int) -> None:
        self._do("rmdir", lambda: super(CountedCalls, self).rmdir(path, dir_fd=dir_fd))

    def scandir(self, fd: int) -> list[tuple[str, bool, bool]]:
        found: list[tuple[str, bool, bool]] = self._do("list", lambda: super(CountedCalls, self).scandir(fd))
        return found

    def fstat(self, fd: int) -> os.stat_result:
        found: os.stat_result = self._do("stat", lambda: super(CountedCalls, self).fstat(fd))
        return found

    def stat(self, path: str, *, dir_fd: int) -> os.stat_result:
        found: os.stat_result = self._do("stat", lambda: super(CountedCalls, self).stat(path, dir_fd=dir_fd))
        return found

    def truncate(self, fd: int, size_bytes: int) -> None:
        self._do("truncate", lambda: super(CountedCalls, self).truncate(fd, size_bytes))

    def utime(self, fd: int) -> None:
        self._do("utime", lambda: super(CountedCalls, self).utime(fd))

    def _do(
        self,
        name: str,
        call: Callable[[], Any],
        *,
        torn: Callable[[], None] | None = None,
        undo: Callable[[], None] | None = None,
    ) -> Any:
        self.counts[name] += 1
        self.log.append(name)
        if self.hook:
            self.hook(name)
        fault = self.fault if self._is_hit(name) else None
        if fault is None:
            return call()
        if fault.when == "after":
            try:
                return call()
            finally:
                self._strike(fault)
        if fault.when == "torn" and torn:
            torn()
        if undo and fault.errno is not None:
            undo()  # a close that reports an error has closed all the same
        self._strike(fault)
        return call()

    def _is_hit(self, name: str) -> bool:
        if self.fault is None or (self.fault.only and name not in self.fault.only):
            return False
        self._matched += 1
        return self._matched == self.fault.at or (self.fault.lasting and self._matched > self.fault.at)

    def _strike(self, fault: Fault) -> None:
        if fault.signal is not None:
            os.kill(os.getpid(), signal.Signals(fault.signal))
        if fault.errno is not None:
            raise OSError(fault.errno, os.strerror(fault.errno))
