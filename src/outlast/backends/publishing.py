"""New files that appear whole, or not at all.

A file is written under a unique temporary name in its own directory, synced, then linked to its final name (`link`
is exclusive everywhere, NFS included; `rename` would overwrite). After a failed fsync the kernel may have dropped the
pages and marked them clean, so that file is abandoned and written anew.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress

from outlast.backends.base import Buffer, Spare
from outlast.backends.paths import NO_SPACE, Paths
from outlast.backends.writing import Effort, Sink, flags, is_direct_refused

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
TEMPORARY = ".tmp-"
_OLD = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NO_ALLOCATE = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_TRIES = 3  # the first file and two new ones


class Publishing(Paths):
    """A directory that new files come to."""

    def create(self, path: str, blocks: Sequence[Buffer], *, mode: int = 0o600) -> int:
        needed = sum(memoryview(b).nbytes for b in blocks)

        def write(temporary: str) -> int:
            fd = self.calls.open(temporary, NEW, mode, dir_fd=dir_fd)
            return self._written(fd, lambda: self._write_blocks(fd, blocks, needed))

        with self.refusals(path, needed), self._parent(path) as (dir_fd, name):
            return self._publish_new(dir_fd, name, path, write)

    def replace(self, path: str, blocks: Sequence[Buffer], *, mode: int) -> int:
        """Put a whole new file of exactly this mode in the place of another; return its size.

        Not for what is in a store, where nothing that was published is changed. Atomic: whoever looks sees the old one
        or the new one. Durable after `sync` of the directory.
        """
        needed = sum(memoryview(b).nbytes for b in blocks)

        def write(temporary: str) -> int:
            fd = self.calls.open(temporary, NEW, dir_fd=dir_fd)
            return self._written(fd, lambda: self._write_with_mode(fd, blocks, needed, mode))

        with self.refusals(path, needed), self._parent(path) as (dir_fd, name):
            temporary, size_bytes = self._write_new(dir_fd, write)
            try:
                self.calls.rename(temporary, name, dir_fd=dir_fd, to_dir_fd=dir_fd)
            except OSError:
                self._drop(temporary, dir_fd)
                raise
            return size_bytes

    def build(
        self, path: str, fill: Callable[[Sink], int], *, bound_bytes: int, effort: Effort, spare: Spare | None = None
    ) -> int:
        olds = [spare.name] if spare else []

        def write(temporary: str) -> int:
            fd, is_direct = self._open_old(olds.pop(), temporary, dir_fd, effort) if olds else (-1, False)
            if fd < 0:
                fd, is_direct = self._open_new(temporary, dir_fd, effort)
            return self._written(
                fd, lambda: self._fill(Sink(self.calls, fd, effort, is_direct=is_direct), fd, fill, bound_bytes)
            )

        try:
            with self.refusals(path, bound_bytes), self._parent(path) as (dir_fd, name):
                return self._publish_new(dir_fd, name, path, write)
        finally:
            if spare:
                spare.close()

    def _publish_new(self, dir_fd: int, name: str, path: str, write: Callable[[str], int]) -> int:
        temporary, size_bytes = self._write_new(dir_fd, write)
        try:
            self._publish(dir_fd, temporary, name, path)
        finally:
            with suppress(FileNotFoundError):  # NFS: the answer to an unlink that was carried out may be lost
                self.calls.unlink(temporary, dir_fd=dir_fd)
        return size_bytes

    def _write_new(self, dir_fd: int, write: Callable[[str], int]) -> tuple[str, int]:
        """Write and sync a temporary file; on a failed sync start over in a new one. Return its name and size."""
        for left in reversed(range(_TRIES)):
            temporary = f"{TEMPORARY}{os.urandom(8).hex()}"
            try:
                size_bytes = write(temporary)
            except OSError as e:
                self._drop(temporary, dir_fd)
                if left == 0 or e.errno in NO_SPACE or e.errno == errno.EROFS:
                    raise
            else:
                return temporary, size_bytes
        raise AssertionError("the loop above returns or raises")

    def _written(self, fd: int, write: Callable[[], int]) -> int:
        """Write, sync and close an open file; return its size, which is what was written."""
        try:
            needed = write()
            self.calls.fsync(fd)
            size_bytes = self.calls.fstat(fd).st_size
        finally:
            self.calls.close(fd)  # NFS and quotas report here too
        if size_bytes != needed:
            raise OSError(errno.EIO, f"wrote {needed} bytes, the file has {size_bytes}")
        return needed

    def _write_blocks(self, fd: int, blocks: Sequence[Buffer], needed: int) -> int:
        self.write_all(fd, blocks)
        return needed

    def _write_with_mode(self, fd: int, blocks: Sequence[Buffer], needed: int, mode: int) -> int:
        self.write_all(fd, blocks)
        self.calls.chmod(fd, mode)  # the umask does not count here
        return needed

    def _fill(self, sink: Sink, fd: int, fill: Callable[[Sink], int], bound_bytes: int) -> int:
        try:
            if bound_bytes:
                self.calls.allocate(fd, bound_bytes)
        except OSError as e:
            if e.errno not in _NO_ALLOCATE:
                raise
        needed = fill(sink)
        self.calls.truncate(fd, needed)  # the last block was filled up, and an old file may be longer
        return needed

    def _open_new(self, temporary: str, dir_fd: int, effort: Effort) -> tuple[int, bool]:
        """Create a file, for direct I/O if that is wanted and known here."""
        try:
            return self.calls.open(temporary, NEW | flags(effort.direct), dir_fd=dir_fd), effort.direct
        except OSError as e:
            if not effort.direct or not is_direct_refused(e):
                raise
        self._drop(temporary, dir_fd)  # Linux makes the file before it looks at this flag
        return self.calls.open(temporary, NEW, dir_fd=dir_fd), False

    def _open_old(self, spare: str, temporary: str, dir_fd: int, effort: Effort) -> tuple[int, bool]:
        """Open a spare file under its new name, to be overwritten; -1 if it cannot be had: then a new one will do."""
        try:
            with self._dir("") as root_fd:
                self.calls.rename(spare, temporary, dir_fd=root_fd, to_dir_fd=dir_fd)
            try:
                fd, is_direct = self.calls.open(temporary, _OLD | flags(effort.direct), dir_fd=dir_fd), effort.direct
            except OSError as e:
                if not effort.direct or not is_direct_refused(e):
                    raise
                fd, is_direct = self.calls.open(temporary, _OLD, dir_fd=dir_fd), False
        except OSError:
            self._drop(temporary, dir_fd)
            with self._dir("") as root_fd:
                self._drop(spare, root_fd)  # if it was not renamed: nobody else would before the next attempt
            return -1, False
        found = self.calls.fstat(fd)
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
            return fd, is_direct
        self.calls.close(fd)
        self._drop(temporary, dir_fd)  # somebody else has a name for it: not ours to overwrite
        return -1, False

    def _publish(self, dir_fd: int, temporary: str, name: str, path: str) -> None:
        try:
            self.calls.link(temporary, name, dir_fd=dir_fd)
        except OSError as e:
            # NFS: the answer to a link that was carried out may be lost; the inode tells.
            if not self._is_same(temporary, name, dir_fd):
                if e.errno == errno.EEXIST:
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from e
                raise

    def _is_same(self, name: str, other: str, dir_fd: int) -> bool:
        try:
            mine, theirs = self.calls.stat(name, dir_fd=dir_fd), self.calls.stat(other, dir_fd=dir_fd)
        except FileNotFoundError:
            return False
        return (mine.st_dev, mine.st_ino) == (theirs.st_dev, theirs.st_ino)

    def _drop(self, temporary: str, dir_fd: int) -> None:
        """Remove a condemned temporary file; if even that fails the first error is the one to report."""
        try:
            self.calls.unlink(temporary, dir_fd=dir_fd)
        except OSError:
            return
