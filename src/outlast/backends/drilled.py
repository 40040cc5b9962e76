"""Storage calls of a program that is being drilled: counted in a file, and at a chosen one the process is killed.

`outlast drill` sets OUTLAST_DRILL to a folder of the run that it tries; without it nothing here is in use. In it:

    calls   a byte for each call that changes the storage, by all processes of the run: its size is their number
    kill    a number: the process that makes this call is killed at it, half-way through a write
    full    while it is there, the disk is full

What is there is looked for at each call, so that the drill may change it while the program runs.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Sequence
from typing import Any

from outlast.backends.syscalls import Syscalls
from outlast.errors import UsageError

DRILL = "OUTLAST_DRILL"
CALLS, KILL, FULL = "calls", "kill", "full"
_DIGITS = 20


def calls() -> Syscalls | None:
    """Return the calls of the drill that this process is part of; None if it is part of none."""
    folder = os.environ.get(DRILL, "")
    return Drilled(folder) if folder else None


def check_inside(path: str) -> None:
    """Keep a drilled program from writing to the user's real store: it is killed and damaged on purpose.

    Raises:
        UsageError: the store does not lie in the folder of the run that is tried.
    """
    folder = os.environ.get(DRILL, "")
    if not folder:
        return
    place = os.path.dirname(os.path.realpath(folder))
    if os.path.commonpath([place, os.path.realpath(path)]) != place:
        hint = "have the program open os.environ['OUTLAST_STORE'], or a relative path"
        raise UsageError(f"{path} lies outside of the drill, which must not touch your real store", hint=hint)


class Drilled(Syscalls):
    """The real calls, but for what the drill's folder asks for.

    Args:
        folder: the drill's.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def open(self, path: str, flags: int, mode: int = 0o600, *, dir_fd: int | None = None) -> int:
        if flags & os.O_CREAT:
            self._change(fills=True)
        return super().open(path, flags, mode, dir_fd=dir_fd)

    def writev(self, fd: int, buffers: Sequence[Any]) -> int:
        if self._is_struck(fills=True):
            data = b"".join(bytes(each) for each in buffers)
            os.write(fd, data[: len(data) // 2])
            _die()
        return super().writev(fd, buffers)

    def pwrite(self, fd: int, data: Any, at: int) -> int:
        if self._is_struck(fills=True):
            view = memoryview(data).cast("B")
            with open(f"/proc/self/fd/{fd}", "r+b", buffering=0) as file:  # direct I/O takes no odd lengths
                os.pwrite(file.fileno(), view[: len(view) // 2], at)
            _die()
        return super().pwrite(fd, data, at)

    def allocate(self, fd: int, size_bytes: int) -> None:
        self._change(fills=True)
        super().allocate(fd, size_bytes)

    def fsync(self, fd: int) -> None:
        self._change()
        super().fsync(fd)

    def link(self, path: str, to: str, *, dir_fd: int) -> None:
        self._change(fills=True)
        super().link(path, to, dir_fd=dir_fd)

    def unlink(self, path: str, *, dir_fd: int) -> None:
        self._change()
        super().unlink(path, dir_fd=dir_fd)

    def rename(self, path: str, to: str, *, dir_fd: int, to_dir_fd: int) -> None:
        self._change()
        super().rename(path, to, dir_fd=dir_fd, to_dir_fd=to_dir_fd)

    def mkdir(self, path: str, mode: int = 0o700, *, dir_fd: int | None = None) -> None:
        self._change(fills=True)
        super().mkdir(path, mode, dir_fd=dir_fd)

    def rmdir(self, path: str, *, dir_fd: int) -> None:
        self._change()
        super().rmdir(path, dir_fd=dir_fd)

    def truncate(self, fd: int, size_bytes: int) -> None:
        self._change()
        super().truncate(fd, size_bytes)

    def _change(self, *, fills: bool = False) -> None:
        if self._is_struck(fills=fills):
            _die()

    def _is_struck(self, *, fills: bool = False) -> bool:
        """Count a call; say whether it is the one at which this process dies.

        Raises:
            OSError: it would need space, and the disk is full.
        """
        struck = self._count() == self._wanted()
        if fills and not struck and os.path.exists(os.path.join(self._folder, FULL)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return struck

    def _count(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            with open(os.open(os.path.join(self._folder, CALLS), flags, 0o600), "wb", buffering=0) as file:
                file.write(b".")
                return file.tell()  # the file's end as this write left it
        except OSError:
            return 0  # the drill is over and its folder gone

    def _wanted(self) -> int:
        try:
            with open(os.path.join(self._folder, KILL), "rb") as file:
                text = file.read(_DIGITS)
        except OSError:
            return -1
        return int(text) if text.isdigit() else -1


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
