"""Storage calls of a node whose look at the directories is up to a minute old (spec/store-v1.md, section 2)."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from outlast.store.lease import STALE_S
from outlast.testing import CountedCalls, FakeClock

Entry = tuple[str, bool, bool]


class OldViews(CountedCalls):
    """The real calls; only listings, and with `look_ups` names too, are as they were when `freeze` was called.

    What this node changes itself it sees. What it makes exclusively is decided by the storage. After a minute by
    `clock` it sees all.
    """

    def __init__(self, clock: FakeClock, *, look_ups: bool) -> None:
        super().__init__()
        self._clock, self._look_ups = clock, look_ups
        self._views: dict[tuple[int, int], dict[str, Entry]] = {}
        self._until_s = 0.0

    def freeze(self, root: Path) -> None:
        """Remember every directory as it is now."""
        self._until_s = self._clock.monotonic() + STALE_S
        for folder in [root, *root.rglob("*")]:
            if folder.is_dir():
                about = folder.stat()
                with os.scandir(folder) as entries:
                    self._views[about.st_dev, about.st_ino] = {
                        e.name: (e.name, e.is_file(follow_symlinks=False), e.is_dir(follow_symlinks=False))
                        for e in entries
                    }

    def _view(self, fd: int | None) -> dict[str, Entry] | None:
        if fd is None or self._clock.monotonic() >= self._until_s:
            return None
        about = os.fstat(fd)
        return self._views.get((about.st_dev, about.st_ino))

    def scandir(self, fd: int) -> list[Entry]:
        real = super().scandir(fd)
        view = self._view(fd)
        return real if view is None else list(view.values())

    def _look_up(self, name: str, fd: int | None) -> None:
        view = self._view(fd) if self._look_ups else None
        if view is not None and name not in view:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)

    def _see(self, name: str, fd: int | None, entry: tuple[bool, bool] | None) -> None:
        """Note a change of our own: `entry` says what was made, None: it is gone."""
        view = self._view(fd)
        if view is not None:
            view.pop(name, None)
            if entry:
                view[name] = (name, *entry)

    def open(self, path: str, flags: int, mode: int = 0o600, *, dir_fd: int | None = None) -> int:
        if not flags & os.O_CREAT:
            self._look_up(path, dir_fd)
        fd = super().open(path, flags, mode, dir_fd=dir_fd)
        if flags & os.O_CREAT:
            self._see(path, dir_fd, (True, False))
        return fd

    def stat(self, path: str, *, dir_fd: int) -> os.stat_result:
        self._look_up(path, dir_fd)
        return super().stat(path, dir_fd=dir_fd)

    def link(self, path: str, to: str, *, dir_fd: int) -> None:
        super().link(path, to, dir_fd=dir_fd)
        self._see(to, dir_fd, (True, False))

    def link_across(self, path: str, to: str, *, dir_fd: int, to_dir_fd: int) -> None:
        super().link_across(path, to, dir_fd=dir_fd, to_dir_fd=to_dir_fd)
        self._see(to, to_dir_fd, (True, False))

    def mkdir(self, path: str, mode: int = 0o700, *, dir_fd: int | None = None) -> None:
        super().mkdir(path, mode, dir_fd=dir_fd)
        self._see(path, dir_fd, (False, True))

    def unlink(self, path: str, *, dir_fd: int) -> None:
        super().unlink(path, dir_fd=dir_fd)
        self._see(path, dir_fd, None)

    def rmdir(self, path: str, *, dir_fd: int) -> None:
        super().rmdir(path, dir_fd=dir_fd)
        self._see(path, dir_fd, None)

    def rename(self, path: str, to: str, *, dir_fd: int, to_dir_fd: int) -> None:
        about = os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
        super().rename(path, to, dir_fd=dir_fd, to_dir_fd=to_dir_fd)
        is_dir = stat.S_ISDIR(about.st_mode)
        self._see(path, dir_fd, None)
        self._see(to, to_dir_fd, (not is_dir, is_dir))
