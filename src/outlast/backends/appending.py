"""Open files that are appended to, and those of pruned checkpoints that wait to be overwritten."""

from __future__ import annotations

import errno
import fcntl
from contextlib import suppress

from outlast.backends.paths import Paths


class Appender:
    def __init__(self, owner: Paths, fd: int, path: str, size_bytes: int) -> None:
        self._owner, self._fd, self._path, self._size_bytes = owner, fd, path, size_bytes

    def append(self, data: bytes, *, sync: bool) -> None:
        with self._owner.refusals(self._path, len(data)):
            try:
                self._owner.write_all(self._fd, [data])
                if sync:
                    self._owner.calls.fsync(self._fd)
                    self._check_size(self._size_bytes + len(data))
            except OSError:
                self._cut_back()
                raise
            except MemoryError:  # half a line or a whole one may be there: the size must not be taken for smaller
                self._cut_back()
                raise
        self._size_bytes += len(data)

    def _check_size(self, expected_bytes: int) -> None:
        """Check that what was acknowledged is there: a call may have claimed more than it wrote."""
        size_bytes = self._owner.calls.fstat(self._fd).st_size
        if size_bytes < expected_bytes:  # more may be there, of a line that could not be cut back
            raise OSError(errno.EIO, f"wrote up to byte {expected_bytes}, the file has {size_bytes}")

    def _cut_back(self) -> None:
        """Cut off what an append left. Where that fails too it stays: readers skip it, the next line begins anew."""
        try:
            self._owner.calls.truncate(self._fd, self._size_bytes)
        except OSError:
            with suppress(OSError):
                self._size_bytes = self._owner.calls.fstat(self._fd).st_size

    def touch(self) -> None:
        with self._owner.refusals(self._path):
            self._owner.calls.utime(self._fd)

    def close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            with self._owner.refusals(self._path):
                self._owner.calls.close(fd)


class SpareFile:
    def __init__(self, owner: Paths, fd: int, name: str, size_bytes: int) -> None:
        self._owner, self._fd = owner, fd
        self.name, self.size_bytes = name, size_bytes

    def close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            with suppress(OSError):  # a child forked meanwhile holds the lock too: to close is not to give it back
                self._owner.calls.lock(fd, fcntl.LOCK_UN)
            with self._owner.refusals(self.name):
                self._owner.calls.close(fd)
