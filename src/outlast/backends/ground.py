"""A directory of its own in which a probe tries things, made for it and removed after it, whatever happens.

Nothing outside of it is touched. Its name begins as a temporary file's does: readers ignore it, and what a kill leaves
of it goes with the next sweep of the store.
"""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

from outlast.backends.publishing import TEMPORARY
from outlast.backends.syscalls import Syscalls
from outlast.clock import Clock

DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
APPEND = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC  # links in the path itself are the user's

BLOCK = bytes(range(256)) * 64  # 16 KiB
_T = TypeVar("_T")
_CLEARINGS = 3


class Broken(Exception):  # noqa: N818  (no error of the program: a finding)
    """The storage did what it must not."""


class Odd(Exception):  # noqa: N818
    """The storage did what outlast can live with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    said: str
    figures: Mapping[str, float] = field(default_factory=dict)


class Ground:
    """The directory in which things are tried. Names are relative to it."""

    def __init__(self, calls: Syscalls, fd: int, path: str, clock: Clock) -> None:
        self.calls, self.fd, self.path, self.clock = calls, fd, path, clock

    @contextmanager
    def open(self, name: str, flags: int) -> Iterator[int]:
        fd = self.calls.open(name, flags, dir_fd=self.fd)
        try:
            yield fd
        finally:
            self.calls.close(fd)

    def create(self, name: str, data: bytes) -> None:
        with self.open(name, NEW) as fd:
            self.write(fd, data)

    def write(self, fd: int, data: bytes) -> None:
        done = 0
        while done < len(data):
            done += self.calls.writev(fd, [data[done:]])

    def read(self, name: str, limit_bytes: int = 4 * len(BLOCK)) -> bytes:
        """Read to the end, not to the size that the attributes tell: those may be old."""
        data = bytearray(limit_bytes)
        done = 0
        with self.open(name, READ) as fd:
            while count := self.calls.preadv(fd, [memoryview(data)[done:]], done):
                done += count
        return bytes(data[:done])

    def link(self, name: str, to: str) -> None:
        self.calls.link(name, to, dir_fd=self.fd)

    def mkdir(self, name: str) -> None:
        self.calls.mkdir(name, dir_fd=self.fd)

    def rename(self, name: str, to: str) -> None:
        self.calls.rename(name, to, dir_fd=self.fd, to_dir_fd=self.fd)

    def stat(self, name: str) -> os.stat_result:
        return self.calls.stat(name, dir_fd=self.fd)

    def has(self, name: str) -> bool:
        try:
            self.stat(name)
        except FileNotFoundError:
            return False
        return True

    def names(self) -> set[str]:
        """List by a fresh open, as outlast does."""
        with self.open(".", DIR) as fd:
            return {name for name, _, _ in self.calls.scandir(fd)}


def refused(call: Callable[[], object]) -> bool:
    """Say whether a name was refused because it is taken."""
    try:
        call()
    except FileExistsError:
        return True
    return False


def undisturbed(remove: Callable[[], _T]) -> _T:
    """Remove what was made, while SIGINT, SIGTERM and SIGHUP wait.

    Another thread may hear SIGINT all the same, one that is just ending too: then it is done over, and counts later.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    try:
        return remove()
    except KeyboardInterrupt:
        remove()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def ground(root: str, calls: Syscalls, clock: Clock, problems: list[str]) -> Iterator[Ground]:
    """Make the directory in `root`, yield it, and remove it with all that is in it.

    Args:
        root: an existing directory.
        calls: the storage calls.
        clock: for measuring.
        problems: gets why the directory could not be removed, if so.

    Raises:
        OSError: it cannot be made.
    """
    parent = calls.open(root, _ROOT)
    name = f"{TEMPORARY}doctor-{secrets.token_hex(8)}"
    try:
        try:
            calls.mkdir(name, dir_fd=parent)
            fd = calls.open(name, DIR, dir_fd=parent)
            try:
                yield Ground(calls, fd, os.path.join(root, name), clock)
            finally:
                with suppress(OSError):  # of a directory that was only read
                    calls.close(fd)
        finally:
            problems += undisturbed(lambda: _clear(calls, parent, name))
    finally:
        with suppress(OSError):
            calls.close(parent)


def _clear(calls: Syscalls, parent: int, name: str) -> list[str]:
    """Remove the directory with all that is in it; return what stayed and why, if something did."""
    for _ in range(_CLEARINGS):  # a call may fail once
        try:
            _empty(calls, parent, name)
            calls.rmdir(name, dir_fd=parent)
        except FileNotFoundError:
            return []
        except OSError as e:
            problem = e.strerror or str(e)
        else:
            return []
    return [f"{name} could not be removed: {problem}"]


def _empty(calls: Syscalls, parent: int, name: str) -> None:
    fd = calls.open(name, DIR, dir_fd=parent)
    try:
        for inner, _, is_dir in calls.scandir(fd):
            with suppress(FileNotFoundError):
                if is_dir:
                    _empty(calls, fd, inner)
                    calls.rmdir(inner, dir_fd=fd)
                else:
                    calls.unlink(inner, dir_fd=fd)
    finally:
        calls.close(fd)
