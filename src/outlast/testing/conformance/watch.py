"""How names appear in a folder: by a rename, or made in place and filled while everybody can see them. inotify(7)."""

from __future__ import annotations

import ctypes
import os
import struct
from types import TracebackType
from typing import Self

_CREATE, _MOVED_TO = 0x100, 0x80
_HEAD = struct.Struct("iIII")
_READ_BYTES = 1 << 16
_libc = ctypes.CDLL(None, use_errno=True)


class Watch:
    """Watches a folder while it is entered.

    Raises:
        OSError: the kernel has no watch left.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0 or _libc.inotify_add_watch(self._fd, os.fsencode(folder), _CREATE | _MOVED_TO) < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), os.fspath(folder))

    def made_in_place(self) -> list[str]:
        """Return the names that have appeared otherwise than by a rename, since the last call."""
        found = []
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return []
        while data:
            _, what, _, length = _HEAD.unpack_from(data)
            name = data[_HEAD.size : _HEAD.size + length].rstrip(b"\0")
            data = data[_HEAD.size + length :]
            if what & _CREATE:
                found.append(os.fsdecode(name))
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)
