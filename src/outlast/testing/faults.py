"""Storage calls that count themselves, and at a chosen one fail, stop or kill this very process."""

from __future__ import annotations

import mmap
import os
import signal
import stat
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from outlast.backends import Syscalls

When = Literal["before", "after", "torn", "short", "lost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens at the `at`-th call (from 1).

    Args:
        at: which call, among those of the kinds in `only` (all, if empty).
        signal: send this process a signal (SIGKILL, SIGSTOP ...).
        errno: fail with this error instead.
        when: `before` the call; `after` it; `torn`: half of a write is done first; `short`: a write or read does half,
            and says so; `lost`: a sync fails, and what was not synced before is gone (zeros), as after a failed
            write-back.
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
        self._lock = threading.Lock()
        self._synced: dict[tuple[int, int], int] = {}
        self._placed: dict[int, list[tuple[int, int]]] = {}  # by descriptor, what `pwrite` wrote since the last sync

    def open(self, path: str, flags: int, mode: int = 0o600, *, dir_fd: int | None = None) -> int:
        name = "create" if flags & os.O_CREAT else "open"
        return int(self._do(name, lambda: super(CountedCalls, self).open(path, flags, mode, dir_fd=dir_fd), path=path))

    def close(self, fd: int) -> None:
        self._placed.pop(fd, None)
        self._do("close", lambda: super(CountedCalls, self).close(fd), undo=lambda: os.close(fd))

    def writev(self, fd: int, buffers: Sequence[Any]) -> int:
        def torn() -> None:
            data = b"".join(bytes(b) for b in buffers)
            os.write(fd, data[: len(data) // 2])

        def short() -> int:
            data = b"".join(bytes(b) for b in buffers)
            return os.write(fd, data[: max(1, len(data) // 2)])

        done = int(self._do("write", lambda: super(CountedCalls, self).writev(fd, buffers), torn=torn, short=short))
        self.written_bytes += done
        return done

    def pwrite(self, fd: int, data: Any, at: int) -> int:
        half = memoryview(data).cast("B")[: max(1, memoryview(data).nbytes // 2)]
        done = int(
            self._do(
                "pwrite",
                lambda: super(CountedCalls, self).pwrite(fd, data, at),
                torn=lambda: _write_torn(fd, half, at),
                short=lambda: _write_torn(fd, half, at),
            )
        )
        self.written_bytes += done
        self._placed.setdefault(fd, []).append((at, done))
        return done

    def allocate(self, fd: int, size_bytes: int) -> None:
        self._do("allocate", lambda: super(CountedCalls, self).allocate(fd, size_bytes))

    def buffered(self, fd: int) -> None:
        self._do("buffered", lambda: super(CountedCalls, self).buffered(fd))

    def lock(self, fd: int, how: int) -> None:
        self._do("lock", lambda: super(CountedCalls, self).lock(fd, how))

    def preadv(self, fd: int, buffers: Sequence[Any], at: int, flags: int = 0) -> int:
        def short() -> int:
            views = [memoryview(buffer).cast("B") for buffer in buffers]
            return os.preadv(fd, [views[0][: max(1, len(views[0]) // 2)]], at, flags)

        return int(self._do("read", lambda: super(CountedCalls, self).preadv(fd, buffers, at, flags), short=short))

    def map(self, fd: int, at: int, size_bytes: int) -> mmap.mmap:
        found: mmap.mmap = self._do("map", lambda: super(CountedCalls, self).map(fd, at, size_bytes))
        return found

    def cached(self, address: int, size_bytes: int) -> bytearray:
        return bytearray(self._do("cached", lambda: super(CountedCalls, self).cached(address, size_bytes)))

    def forget(self, fd: int) -> None:
        self._do("forget", lambda: super(CountedCalls, self).forget(fd))

    def fsync(self, fd: int) -> None:
        def sync() -> None:
            super(CountedCalls, self).fsync(fd)
            about = os.fstat(fd)
            self._synced[about.st_dev, about.st_ino] = about.st_size
            self._placed.pop(fd, None)

        self._do("fsync", sync, lost=lambda: self._lose(fd))

    def _lose(self, fd: int) -> None:
        """Turn what a regular file gained since its last sync into zeros, and what of it was overwritten."""
        about = os.fstat(fd)
        kept = min(self._synced.get((about.st_dev, about.st_ino), 0), about.st_size)
        if stat.S_ISREG(about.st_mode):
            with open(f"/proc/self/fd/{fd}", "r+b", buffering=0) as file:
                file.seek(kept)
                file.write(bytes(about.st_size - kept))
                for at, count in self._placed.get(fd, ()):
                    os.pwrite(file.fileno(), bytes(max(0, min(count, about.st_size - at))), at)

    def link(self, path: str, to: str, *, dir_fd: int) -> None:
        self._do("link", lambda: super(CountedCalls, self).link(path, to, dir_fd=dir_fd), path=path)

    def link_across(self, path: str, to: str, *, dir_fd: int, to_dir_fd: int) -> None:
        self._do(
            "link",
            lambda: super(CountedCalls, self).link_across(path, to, dir_fd=dir_fd, to_dir_fd=to_dir_fd),
            path=path,
        )

    def symlink(self, target: str, path: str, *, dir_fd: int) -> None:
        self._do("symlink", lambda: super(CountedCalls, self).symlink(target, path, dir_fd=dir_fd))

    def unlink(self, path: str, *, dir_fd: int) -> None:
        self._do("unlink", lambda: super(CountedCalls, self).unlink(path, dir_fd=dir_fd), path=path)

    def rename(self, path: str, to: str, *, dir_fd: int, to_dir_fd: int) -> None:
        self._do(
            "rename", lambda: super(CountedCalls, self).rename(path, to, dir_fd=dir_fd, to_dir_fd=to_dir_fd), path=path
        )

    def mkdir(self, path: str, mode: int = 0o700, *, dir_fd: int | None = None) -> None:
        self._do("mkdir", lambda: super(CountedCalls, self).mkdir(path, mode, dir_fd=dir_fd), path=path)

    def rmdir(self, path: str, *, dir_fd: int) -> None:
        self._do("rmdir", lambda: super(CountedCalls, self).rmdir(path, dir_fd=dir_fd), path=path)

    def scandir(self, fd: int) -> list[tuple[str, bool, bool]]:
        found: list[tuple[str, bool, bool]] = self._do("list", lambda: super(CountedCalls, self).scandir(fd))
        return found

    def fstat(self, fd: int) -> os.stat_result:
        found: os.stat_result = self._do("stat", lambda: super(CountedCalls, self).fstat(fd))
        return found

    def stat(self, path: str, *, dir_fd: int) -> os.stat_result:
        found: os.stat_result = self._do("stat", lambda: super(CountedCalls, self).stat(path, dir_fd=dir_fd), path=path)
        return found

    def truncate(self, fd: int, size_bytes: int) -> None:
        self._do("truncate", lambda: super(CountedCalls, self).truncate(fd, size_bytes))

    def chmod(self, fd: int, mode: int) -> None:
        self._do("chmod", lambda: super(CountedCalls, self).chmod(fd, mode))

    def chmod_name(self, name: str, mode: int, *, dir_fd: int) -> None:
        self._do("chmod", lambda: super(CountedCalls, self).chmod_name(name, mode, dir_fd=dir_fd), path=name)

    def utime(self, fd: int) -> None:
        self._do("utime", lambda: super(CountedCalls, self).utime(fd))

    def _do(
        self,
        name: str,
        call: Callable[[], Any],
        *,
        torn: Callable[[], object] | None = None,
        undo: Callable[[], None] | None = None,
        short: Callable[[], int] | None = None,
        lost: Callable[[], None] | None = None,
        path: str | None = None,
    ) -> Any:
        with self._lock:
            self.counts[name] += 1
            self.log.append(name)
        if self.hook:
            self.hook(name)
        with self._lock:
            fault = self.fault if self._is_hit(name) else None
        if fault is None:
            return call()
        if fault.when == "after":
            try:
                return call()
            finally:
                self._strike(fault, path)
        if fault.when == "short":
            return short() if short else call()
        if fault.when == "torn" and torn:
            torn()
        if fault.when == "lost" and lost:
            lost()
        if undo and fault.errno is not None:
            undo()  # a close that reports an error has closed all the same
        self._strike(fault, path)
        return call()

    def _is_hit(self, name: str) -> bool:
        if self.fault is None or (self.fault.only and name not in self.fault.only):
            return False
        self._matched += 1
        return self._matched == self.fault.at or (self.fault.lasting and self._matched > self.fault.at)

    def _strike(self, fault: Fault, path: str | None) -> None:
        if fault.signal is not None:
            os.kill(os.getpid(), signal.Signals(fault.signal))
        if fault.errno is not None:
            raise OSError(
                fault.errno, os.strerror(fault.errno), path
            )  # as the kernel's: without a name, of an open file


def _write_torn(fd: int, data: memoryview, at: int) -> int:
    """Write a part of what was asked for. Direct I/O takes no odd lengths: through another descriptor, then."""
    with open(f"/proc/self/fd/{fd}", "r+b", buffering=0) as file:
        return os.pwrite(file.fileno(), data, at)
