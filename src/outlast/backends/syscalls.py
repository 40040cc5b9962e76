"""The storage calls, one method each: the only door to the disk, so that tests can count, fail or kill at any."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any


class Syscalls:
    """Thin names for the calls. A test's subclass overrides `before` and `after`, or single calls."""

    def open(self, path: str, flags: int, mode: int = 0o600, *, dir_fd: int | None = None) -> int:
        return os.open(path, flags, mode, dir_fd=dir_fd)

    def close(self, fd: int) -> None:
        os.close(fd)

    def writev(self, fd: int, buffers: Sequence[Any]) -> int:
        return os.writev(fd, buffers)

    def preadv(self, fd: int, buffers: Sequence[Any], at: int) -> int:
        return os.preadv(fd, buffers, at)

    def fsync(self, fd: int) -> None:
        os.fsync(fd)

    def link(self, path: str, to: str, *, dir_fd: int) -> None:
        os.link(path, to, src_dir_fd=dir_fd, dst_dir_fd=dir_fd, follow_symlinks=False)

    def unlink(self, path: str, *, dir_fd: int) -> None:
        os.unlink(path, dir_fd=dir_fd)

    def rename(self, path: str, to: str, *, dir_fd: int, to_dir_fd: int) -> None:
        os.rename(path, to, src_dir_fd=dir_fd, dst_dir_fd=to_dir_fd)

    def mkdir(self, path: str, mode: int = 0o700, *, dir_fd: int | None = None) -> None:
        os.mkdir(path, mode, dir_fd=dir_fd)

    def rmdir(self, path: str, *, dir_fd: int) -> None:
        os.rmdir(path, dir_fd=dir_fd)

    def scandir(self, fd: int) -> list[tuple[str, bool, bool]]:
        """List as (name, is regular file, is directory), links not followed."""
        with os.scandir(fd) as entries:
            return [(e.name, e.is_file(follow_symlinks=False), e.is_dir(follow_symlinks=False)) for e in entries]

    def fstat(self, fd: int) -> os.stat_result:
        return os.fstat(fd)

    def stat(self, path: str, *, dir_fd: int) -> os.stat_result:
        return os.stat(path, dir_fd=dir_fd, follow_symlinks=False)

    def truncate(self, fd: int, size_bytes: int) -> None:
        os.ftruncate(fd, size_bytes)

    def utime(self, fd: int) -> None:
        os.utime(fd)

    def fstatvfs(self, fd: int) -> os.statvfs_result:
        return os.fstatvfs(fd)
