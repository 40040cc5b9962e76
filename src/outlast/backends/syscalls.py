"""The storage calls, one method each: the only door to the disk, so that tests can count, fail or kill at any."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
from collections.abc import Sequence
from typing import Any

from outlast.backends import memory

_fallocate = ctypes.CDLL(None, use_errno=True).fallocate
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_longlong, ctypes.c_longlong)
_mincore = ctypes.PyDLL(None, use_errno=True).mincore  # too short to give the interpreter away for it
_mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)


class Syscalls:
    """Thin names for the calls. A test's subclass overrides `before` and `after`, or single calls.

    Attributes:
        has_paths: paths lead other programs to the same files; of storage in memory nobody else can make a name.
    """

    has_paths = True

    def open(self, path: str, flags: int, mode: int = 0o600, *, dir_fd: int | None = None) -> int:
        return os.open(path, flags, mode, dir_fd=dir_fd)

    def close(self, fd: int) -> None:
        os.close(fd)

    def writev(self, fd: int, buffers: Sequence[Any]) -> int:
        return os.writev(fd, buffers)

    def pwrite(self, fd: int, data: Any, at: int) -> int:
        return os.pwrite(fd, data, at)

    def allocate(self, fd: int, size_bytes: int) -> None:
        """Reserve the blocks of a file. Raises OSError (EOPNOTSUPP) where the storage has no such thing."""
        if _fallocate(fd, 0, 0, size_bytes) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def buffered(self, fd: int) -> None:
        """Go on through the kernel's cache with a file that was opened for direct I/O."""
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_DIRECT)

    def lock(self, fd: int, how: int) -> None:
        """Take or give back a lock on an open file: `fcntl.LOCK_SH`, `LOCK_EX` or `LOCK_UN`, with `LOCK_NB`."""
        fcntl.flock(fd, how)

    def preadv(self, fd: int, buffers: Sequence[Any], at: int, flags: int = 0) -> int:
        return os.preadv(fd, buffers, at, flags)

    def map(self, fd: int, at: int, size_bytes: int) -> mmap.mmap:
        """Map a range of a file, to be read only. It holds the file open by itself."""
        return mmap.mmap(fd, size_bytes, access=mmap.ACCESS_READ, offset=at)

    def cached(self, address: int, size_bytes: int) -> bytearray:
        """Say of each page of a file, mapped at `address`, whether the kernel's cache holds it: 1 if so, else 0."""
        pages = bytearray(-(-size_bytes // mmap.PAGESIZE))
        if _mincore(address, size_bytes, memory.address_of(pages)) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return pages

    def forget(self, fd: int) -> None:
        """Ask the kernel to drop what it remembers of a file, so that the next read goes to the storage."""
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def fsync(self, fd: int) -> None:
        os.fsync(fd)

    def link(self, path: str, to: str, *, dir_fd: int) -> None:
        os.link(path, to, src_dir_fd=dir_fd, dst_dir_fd=dir_fd, follow_symlinks=False)

    def link_across(self, path: str, to: str, *, dir_fd: int, to_dir_fd: int) -> None:
        os.link(path, to, src_dir_fd=dir_fd, dst_dir_fd=to_dir_fd, follow_symlinks=False)

    def symlink(self, target: str, path: str, *, dir_fd: int) -> None:
        os.symlink(target, path, dir_fd=dir_fd)

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

    def chmod(self, fd: int, mode: int) -> None:
        os.fchmod(fd, mode)

    def chmod_name(self, name: str, mode: int, *, dir_fd: int) -> None:
        """Change the mode of what cannot be opened. Raises OSError (ELOOP or so) for a link."""
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
        try:
            os.chmod(f"/proc/self/fd/{fd}", mode)
        finally:
            os.close(fd)

    def utime(self, fd: int) -> None:
        os.utime(fd)

    def fstatvfs(self, fd: int) -> os.statvfs_result:
        return os.fstatvfs(fd)
