"""Files on a POSIX file system: the only module that opens for writing, syncs, links and renames.

The recipe, and why: a file is written under a unique temporary name in its own directory, synced, then
linked to its final name (`link` is exclusive everywhere, NFS included; `rename` would overwrite). After a
failed fsync the kernel may have dropped the pages and marked them clean, so that file is abandoned and
written anew. Directories are opened component by component with O_NOFOLLOW: a planted link is refused.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from outlast.backends.base import Buffer, Entry, Space
from outlast.backends.syscalls import Syscalls
from outlast.errors import DamageError, OutlastError, SpaceError, StorageError, UsageError

_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO must not hang us
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_TRIES = 3  # the first file and two new ones
_BATCH_BYTES = 8 << 20
_BATCH_BUFFERS = 512
TEMPORARY = ".tmp-"


class _Reader:
    def __init__(self, owner: Posix, fd: int, path: str, size_bytes: int) -> None:
        self._owner, self._fd, self._path = owner, fd, path
        self.size_bytes = size_bytes

    def read_into(self, view: memoryview, at: int) -> None:
        done = 0
        while done < len(view):
            with self._owner.refusals(self._path):
                count = self._owner.calls.preadv(self._fd, [view[done:]], at + done)
            if count == 0:
                message = f"{self._path} ends at byte {at + done}, expected {at + len(view)}"
                raise DamageError(message, path=self._path)
            done += count

    def close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            with self._owner.refusals(self._path):
                self._owner.calls.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Appender:
    def __init__(self, owner: Posix, fd: int, path: str, size_bytes: int) -> None:
        self._owner, self._fd, self._path, self._size_bytes = owner, fd, path, size_bytes

    def append(self, data: bytes, *, sync: bool) -> None:
        with self._owner.refusals(self._path, len(data)):
            try:
                self._owner.write_all(self._fd, [data])
                if sync:
                    self._owner.calls.fsync(self._fd)
            except OSError as e:
                self._cut_back()
                if isinstance(e, FileNotFoundError):  # of an open file: the storage has lost it
                    raise StorageError(f"{self._owner.root}/{self._path}: {e.strerror}") from e
                raise
        self._size_bytes += len(data)

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


class Posix:
    """A store's directory on a mounted file system.

    Args:
        root: the store's directory. Links in this path itself are the user's business and followed.
        calls: the storage calls; tests bring their own.
    """

    def __init__(self, root: str | os.PathLike[str], *, calls: Syscalls | None = None) -> None:
        if not os.fspath(root) or "\0" in os.fspath(root):
            raise UsageError(f"{os.fspath(root)!r} is not a path", hint="name a directory")
        self.root = os.path.abspath(os.fspath(root))
        self.calls = calls or Syscalls()

    def exists(self) -> bool:
        """Say whether the store's directory is there."""
        return os.path.isdir(self.root)

    def make_root(self) -> None:
        """Make the store's directory and its missing parents, each durable."""
        missing = []
        path = self.root
        while not os.path.isdir(path):
            missing.append(path)
            path = os.path.dirname(path)
        for path in reversed(missing):
            with self.refusals(path):
                try:
                    self.calls.mkdir(path)
                except FileExistsError:
                    if not os.path.isdir(path):
                        raise StorageError(f"{path} is in the way: it is not a directory") from None
                except FileNotFoundError as e:
                    raise StorageError(f"{path} cannot be made: {e.strerror}", hint="name another directory") from e
            if os.access(os.path.dirname(path), os.R_OK):
                self._sync_path(os.path.dirname(path))

    def sync_parent(self) -> None:
        """Make the store's own name durable. A parent that we may not read cannot be synced, and is passed over."""
        parent = os.path.dirname(self.root)
        if os.access(parent, os.R_OK):
            self._sync_path(parent)

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

    def open(self, path: str) -> _Reader:
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
            except BaseException:
                self.calls.close(fd)
                raise
        return _Reader(self, fd, path, found.st_size)

    def create(self, path: str, blocks: Sequence[Buffer]) -> int:
        needed = sum(memoryview(b).nbytes for b in blocks)
        with self.refusals(path, needed), self._parent(path) as (dir_fd, name):
            temporary = self._write_new(dir_fd, blocks, needed)
            try:
                self._publish(dir_fd, temporary, name, path)
            finally:
                with suppress(FileNotFoundError):  # NFS: the answer to an unlink that was carried out may be lost
                    self.calls.unlink(temporary, dir_fd=dir_fd)
        return needed

    def appender(self, path: str) -> _Appender:
        with self.refusals(path), self._parent(path) as (dir_fd, name):
            fd = self.calls.open(name, _APPEND, dir_fd=dir_fd)
            return _Appender(self, fd, path, self.calls.fstat(fd).st_size)

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

    def move(self, path: str, to: str) -> None:
        with self.refusals(path), self._parent(path) as (fd, name), self._parent(to) as (to_fd, to_name):
            if self._has(to_name, to_fd):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), to)
            self.calls.rename(name, to_name, dir_fd=fd, to_dir_fd=to_fd)

    def space(self) -> Space:
        """Return what is free for this user; quotas are not seen here."""
        try:
            with self._dir("") as fd:
                found = self.calls.fstatvfs(fd)
        except OSError:
            return Space(free_bytes=-1, free_files=-1)
        files = found.f_favail if found.f_files else -1  # btrfs and others have no fixed table
        return Space(free_bytes=found.f_bavail * found.f_frsize, free_files=files)

    def heartbeat(self, path: str) -> tuple[float, float]:
        """Return a file's time stamp and the present time, both by the file system's own clock."""
        temporary = f"{TEMPORARY}{secrets.token_hex(8)}"
        with self.refusals(path), self._parent(path) as (dir_fd, name):
            fd = self.calls.open(temporary, _NEW, dir_fd=dir_fd)
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

    def write_all(self, fd: int, blocks: Sequence[Buffer]) -> None:
        """Write every byte, whatever the sizes that single calls accept."""
        for batch in _batches(blocks):
            rest = batch
            while rest:
                count = self.calls.writev(fd, rest)
                if count <= 0:
                    raise OSError(errno.EIO, "the file system took no byte")
                rest = _after(rest, count)

    @contextmanager
    def refusals(self, path: str, needed: int = 0) -> Iterator[None]:
        """Translate what the storage refuses; a missing file and a taken name stay what they are."""
        try:
            yield
        except (FileNotFoundError, FileExistsError):
            raise
        except OSError as e:
            raise self._refusal(e, path, needed) from e

    def _refusal(self, error: OSError, path: str, needed: int) -> OutlastError:
        place = f"{self.root}/{path}"
        if error.errno in _NO_SPACE:
            space = self.space()
            message = (
                f"{place}: {os.strerror(error.errno or 0)}: needed {needed} bytes, "
                f"{space.free_bytes} bytes and {space.free_files} files are free"
            )
            return SpaceError(message, hint="free space or quota (outlast prune), or keep fewer checkpoints")
        if error.errno == errno.EROFS:
            return StorageError(
                f"{place}: the file system is read-only", hint="ls, show, verify and export work; a run has to write"
            )
        return StorageError(f"{place}: {error.strerror or error}")

    def _write_new(self, dir_fd: int, blocks: Sequence[Buffer], needed: int) -> str:
        """Write and sync a temporary file; on a failed sync start over in a new one."""
        for left in reversed(range(_TRIES)):
            temporary = f"{TEMPORARY}{secrets.token_hex(8)}"
            fd = self.calls.open(temporary, _NEW, dir_fd=dir_fd)
            try:
                try:
                    self.write_all(fd, blocks)
                    self.calls.fsync(fd)
                    size = self.calls.fstat(fd).st_size
                finally:
                    self.calls.close(fd)  # NFS and quotas report here too
                if size != needed:
                    raise OSError(errno.EIO, f"wrote {needed} bytes, the file has {size}")
            except OSError as e:
                self._drop(temporary, dir_fd)
                if left == 0 or e.errno in _NO_SPACE or e.errno == errno.EROFS:
                    raise
            else:
                return temporary
        raise AssertionError("the loop above returns or raises")

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

    def _has(self, name: str, dir_fd: int) -> bool:
        try:
            self.calls.stat(name, dir_fd=dir_fd)
        except FileNotFoundError:
            return False
        return True

    def _drop(self, temporary: str, dir_fd: int) -> None:
        """Remove a condemned temporary file; if even that fails the first error is the one to report."""
        try:
            self.calls.unlink(temporary, dir_fd=dir_fd)
        except OSError:
            return

    @contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, str]]:
        """Open the directory that `path` lies in; yield it with the last name."""
        parents, _, name = path.rpartition("/")
        if name in ("", ".", "..") or "\0" in path:
            raise StorageError(f"{path!r} is not a path inside the store")
        with self._dir(parents) as fd:
            yield fd, name

    @contextmanager
    def _dir(self, path: str) -> Iterator[int]:
        fd = self.calls.open(self.root, _DIR)
        try:
            for name in path.split("/") if path else ():
                if name in ("", ".", ".."):
                    raise StorageError(f"{path!r} is not a path inside the store")
                child = self.calls.open(name, _DIR | os.O_NOFOLLOW, dir_fd=fd)
                fd, parent = child, fd
                self.calls.close(parent)
            yield fd
        finally:
            self.calls.close(fd)

    def _sync_path(self, path: str) -> None:
        with self.refusals(path):
            fd = self.calls.open(path, _DIR)
            try:
                self.calls.fsync(fd)
            finally:
                self.calls.close(fd)


def _batches(blocks: Sequence[Buffer]) -> Iterator[list[memoryview]]:
    """Group buffers so that one call takes many small ones."""
    batch: list[memoryview] = []
    size = 0
    for block in blocks:
        view = memoryview(block)
        if view.nbytes == 0:
            continue
        batch.append(view.cast("B"))
        size += view.nbytes
        if size >= _BATCH_BYTES or len(batch) >= _BATCH_BUFFERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _after(views: list[memoryview], count: int) -> list[memoryview]:
    """Return what is left of `views` after `count` bytes."""
    for i, view in enumerate(views):
        if count < len(view):
            return [view[count:], *views[i + 1 :]]
        count -= len(view)
    return []
