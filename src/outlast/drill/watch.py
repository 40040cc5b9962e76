"""What changes in folders, as it happens: inotify(7), by ctypes. Folders that are made below them are watched too."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from contextlib import suppress

from outlast.errors import UsageError

_MODIFY, _CLOSE_WRITE = 0x2, 0x8
_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x40, 0x80, 0x100, 0x200
_IS_DIR = 0x40000000
_HEAD = struct.Struct("iIII")
_READ_BYTES = 1 << 16
CHANGES = _MODIFY | _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE


class Watch:
    """Folders that are watched. Its descriptor becomes readable when something has changed.

    Raises:
        UsageError: no more watches are allowed.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = self._call(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._paths: dict[int, str] = {}

    def add(self, folder: str) -> None:
        """Watch a folder, and what is below it. One that is gone is passed over."""
        found = self._libc.inotify_add_watch(self.descriptor, os.fsencode(folder), CHANGES)
        if found < 0 and ctypes.get_errno() in (errno.ENOENT, errno.ENOTDIR):
            return
        self._paths[self._call(found)] = folder
        with suppress(FileNotFoundError, NotADirectoryError):
            for entry in list(os.scandir(folder)):
                if entry.is_dir(follow_symlinks=False):
                    self.add(entry.path)

    def changes(self) -> Iterator[str]:
        """Yield the path of each file that has changed since the last time, as often as it has."""
        while True:
            try:
                data = os.read(self.descriptor, _READ_BYTES)
            except BlockingIOError:
                return
            at = 0
            while at < len(data):
                number, mask, _, length = _HEAD.unpack_from(data, at)
                name = data[at + _HEAD.size : at + _HEAD.size + length].rstrip(b"\0")
                at += _HEAD.size + length
                if number not in self._paths:
                    continue
                path = os.path.join(self._paths[number], os.fsdecode(name))
                if mask & _IS_DIR and mask & (_CREATE | _MOVED_TO):
                    self.add(path)
                elif not mask & _IS_DIR and name:
                    yield path

    def close(self) -> None:
        os.close(self.descriptor)

    def _call(self, result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            text = f"files cannot be watched here: {os.strerror(number)}"
            raise UsageError(text, hint="see /proc/sys/fs/inotify; or copy less: --copy")
        return result
