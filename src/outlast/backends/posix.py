"""Files on a POSIX file system. With `paths`, `publishing` and `appending`: what opens for writing, syncs, renames."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from outlast.backends.appending import Appender, SpareFile
from outlast.backends.base import Entry
from outlast.backends.paths import BATCH_BYTES
from outlast.backends.publishing import NEW, TEMPORARY, Publishing
from outlast.backends.reading import FileReader
from outlast.errors import DamageError, StorageError

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO must not hang us
_APPEND = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM}
_T = TypeVar("_T")


class Posix(Publishing):
    """A store's directory on a mounted file system."""

    def list(self, path: str, *, missing_ok: bool = True) -> tuple[Entry, ...]:
        try:
            with self.refusals(path), self._dir(path) as fd:
                found = self.calls.scandir(fd)
        except FileNotFoundError:
            if missing_ok:
                return ()
            raise
        return tuple(
            Entry(name=name, kind="file" if is_file else "dir" if is_dir else "other")
            for name, is_file, is_dir in sorted(found)
        )

    def open(self, path: str, *, shared: bool = False) -> FileReader:
        with self.refusals(path), self._parent(path) as (dir_fd, name):
            try:
                fd = self.calls.open(name, _READ, dir_fd=dir_fd)
            except OSError as e:
                if e.errno in (errno.ELOOP, errno.ENXIO):
                    raise DamageError(f"{path} is not a regular file", path=path) from e
                raise
            try:
                found = self.calls.fstat(fd)
                if not stat.S_ISREG(found.st_mode):
                    raise DamageError(f"{path} is not a regular file", path=path)
                if shared:
                    self._share(fd, found, path, name, dir_fd)
            except BaseException:
                self.calls.close(fd)
                raise
        return FileReader(self, fd, path, found.st_size, lambda: self._past_cache(path, found))

    def _share(self, fd: int, found: os.stat_result, path: str, name: str, dir_fd: int) -> None:
        """Keep writers from reusing a file's blocks while it is open here. Raises FileNotFoundError if one does."""
        try:
            self.calls.lock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None
        except OSError as e:
            if e.errno in _NO_LOCKS:  # nor can a writer be sure that nobody reads, then
                return
            raise
        now = self.calls.stat(name, dir_fd=dir_fd)  # it may have been taken away just before
        if (now.st_dev, now.st_ino) != (found.st_dev, found.st_ino):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    def _past_cache(self, path: str, found: os.stat_result) -> int:
        """Open a file once more, for direct I/O; -1 where that is refused, or the path leads elsewhere by now."""
        try:
            with self._parent(path) as (dir_fd, name):
                fd = self.calls.open(name, _READ | os.O_DIRECT, dir_fd=dir_fd)
        except (OSError, StorageError):
            return -1
        with suppress(OSError):
            now = self.calls.fstat(fd)
            if (now.st_dev, now.st_ino) == (found.st_dev, found.st_ino):
                return fd
        with suppress(OSError):
            self.calls.close(fd)
        return -1

    def appender(self, path: str, *, holds: bytes | None = None) -> Appender:
        with self.refusals(path), self._parent(path) as (dir_fd, name):
            fd = self.calls.open(name, _APPEND, dir_fd=dir_fd)
            try:
                found = self.calls.fstat(fd)
                is_ours = holds is None or self._holds(fd, path, found.st_size, holds)
                if not stat.S_ISREG(found.st_mode) or not is_ours:
                    message = f"{self.root}/{path} is not the file that was made"
                    raise StorageError(message, hint="who else may write there?")
            except BaseException:
                self.calls.close(fd)
                raise
        return Appender(self, fd, path, found.st_size)

    def _holds(self, fd: int, path: str, size_bytes: int, data: bytes) -> bool:
        found = bytearray(len(data))
        if size_bytes != len(data):
            return False
        FileReader(self, fd, path, size_bytes, lambda: -1).read_into(memoryview(found), 0)
        return found == data

    def make_dir(self, path: str) -> None:
        with self.refusals(path), self._parent(path) as (dir_fd, name):
            self.calls.mkdir(name, dir_fd=dir_fd)

    def sync(self, path: str) -> None:
        with self.refusals(path), self._dir(path) as fd:
            self.calls.fsync(fd)

    def remove(self, path: str) -> None:
        with self.refusals(path), self._parent(path) as (dir_fd, name):
            if stat.S_ISDIR(self.calls.stat(name, dir_fd=dir_fd).st_mode):
                self.calls.rmdir(name, dir_fd=dir_fd)
            else:
                self.calls.unlink(name, dir_fd=dir_fd)

    def is_dir(self, path: str) -> bool:
        """Say whether a directory is there; a link to one is none."""
        try:
            with self.refusals(path), self._parent(path) as (dir_fd, name):
                return stat.S_ISDIR(self.calls.stat(name, dir_fd=dir_fd).st_mode)
        except FileNotFoundError:
            return False

    def move(self, path: str, to: str) -> None:
        with self.refusals(path), self._parent(path) as (fd, name), self._parent(to) as (to_fd, to_name):
            if self._has(to_name, to_fd):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), to)
            self.calls.rename(name, to_name, dir_fd=fd, to_dir_fd=to_fd)

    def settle(self, path: str, look: Callable[[FileReader], _T]) -> _T:
        """Make durable, and read-only, a file that another program wrote; return what `look` says of it as it is then.

        Not atomic: for a name that nobody else knows any more. A file that has other names is copied first: who holds
        one of those may go on writing.

        Raises:
            DamageError: not a regular file.
            StorageError: it changed meanwhile, or cannot be synced.
        """
        with self.refusals(path), self._parent(path) as (dir_fd, name):
            if self.calls.stat(name, dir_fd=dir_fd).st_nlink > 1:
                self._unshare(path, dir_fd, name)
            with self.open(path) as file:
                before = self.calls.fstat(file.descriptor)
                found = look(file)
                self.calls.chmod(file.descriptor, stat.S_IRUSR | (before.st_mode & stat.S_IXUSR))
                self.calls.fsync(file.descriptor)
                after = self.calls.fstat(file.descriptor)
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise StorageError(f"{path} was changed while it was being taken", hint="is it still being written?")
        return found

    def _unshare(self, path: str, dir_fd: int, name: str) -> None:
        with self.open(path) as file:
            mode = self.calls.fstat(file.descriptor).st_mode & stat.S_IRWXU

            def write(temporary: str) -> int:
                fd = self.calls.open(temporary, NEW, mode, dir_fd=dir_fd)
                return self._written(fd, lambda: self._copy(file, fd))

            temporary, _ = self._write_new(dir_fd, write)
        self.calls.rename(temporary, name, dir_fd=dir_fd, to_dir_fd=dir_fd)

    def _copy(self, file: FileReader, fd: int) -> int:
        buffer = memoryview(bytearray(min(file.size_bytes, BATCH_BYTES)))
        for at in range(0, file.size_bytes, BATCH_BYTES):
            view = buffer[: file.size_bytes - at]
            file.read_into(view, at)
            self.write_all(fd, [view])
        return file.size_bytes

    def settle_dir(self, path: str) -> None:
        """Make a directory that another program made ours alone to change, and the names in it durable."""
        with self.refusals(path), self._dir(path) as fd:
            self.calls.chmod(fd, stat.S_IRWXU)
            self.calls.fsync(fd)

    def loosen(self, path: str) -> bool:
        """Let us read a file, or change a directory, whose mode keeps its own user from that; a link stays as it is.

        Returns:
            Whether there was anything to change.

        Raises:
            StorageError: it is somebody else's.
        """
        with self.refusals(path), self._parent(path) as (dir_fd, name):
            mode = self.calls.stat(name, dir_fd=dir_fd).st_mode
            wanted = mode | (stat.S_IRWXU if stat.S_ISDIR(mode) else stat.S_IRUSR)
            if wanted == mode or not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
                return False
            self.calls.chmod_name(name, stat.S_IMODE(wanted), dir_fd=dir_fd)
            return True

    def link(self, path: str, to: str) -> None:
        """Give a file one more name, which must not be taken. Durable after `sync` of its directory."""
        with (
            self.refusals(path),
            self._parent(path) as (fd, name),
            self.refusals(to),
            self._parent(to) as (to_fd, to_name),
        ):
            self.calls.link_across(name, to_name, dir_fd=fd, to_dir_fd=to_fd)

    def set_aside(self, path: str, to: str) -> SpareFile | None:
        with self.refusals(path), self._parent(path) as (dir_fd, name), self._dir("") as root_fd:
            try:
                fd = self.calls.open(name, _READ, dir_fd=dir_fd)
            except FileNotFoundError:
                raise
            except OSError:  # a link, a mode too strict: it can be removed all the same
                return None
            try:
                found = self.calls.fstat(fd)
                if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and self._is_ours_alone(fd):
                    self.calls.rename(name, to, dir_fd=dir_fd, to_dir_fd=root_fd)
                    spare = SpareFile(self, fd, to, found.st_size)
                    fd = -1
                    return spare
            finally:
                if fd >= 0:
                    self.calls.close(fd)
        return None

    def _is_ours_alone(self, fd: int) -> bool:
        """Whether nobody reads an open file, which from now on nobody begins to; no, where there are no locks."""
        try:
            self.calls.lock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def heartbeat(self, path: str) -> tuple[float, float]:
        """Return a file's time stamp and the present time, both by the file system's own clock."""
        temporary = f"{TEMPORARY}{os.urandom(8).hex()}"
        with self.refusals(path), self._parent(path) as (dir_fd, name):
            fd = self.calls.open(temporary, NEW, dir_fd=dir_fd)
            try:
                now = self.calls.fstat(fd).st_mtime
            finally:
                self.calls.close(fd)
                self.calls.unlink(temporary, dir_fd=dir_fd)
            return self.calls.stat(name, dir_fd=dir_fd).st_mtime, now

    def modified(self, path: str) -> float:
        """Return a file's time stamp, in seconds since the epoch as the file system counts them."""
        with self.refusals(path), self._parent(path) as (dir_fd, name):
            return self.calls.stat(name, dir_fd=dir_fd).st_mtime

    def _has(self, name: str, dir_fd: int) -> bool:
        try:
            self.calls.stat(name, dir_fd=dir_fd)
        except FileNotFoundError:
            return False
        return True
