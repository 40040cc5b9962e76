"""Ways into a directory of a mounted file system, and what it refuses, in words.

Directories are opened component by component with O_NOFOLLOW: a planted link is refused.
"""

from __future__ import annotations

import errno
import os
import re
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from outlast.backends import drilled, owners
from outlast.backends.base import Buffer, Space
from outlast.backends.syscalls import Syscalls
from outlast.errors import OutlastError, SpaceError, StorageError, UsageError

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
BATCH_BYTES = 8 << 20
_BATCH_BUFFERS = 512
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class Paths:
    """A store's directory on a mounted file system.

    Args:
        root: the store's directory. Links in this path itself are the user's business and followed.
        calls: the storage calls; tests bring their own.
    """

    def __init__(self, root: str | os.PathLike[str], *, calls: Syscalls | None = None) -> None:
        if not os.fspath(root) or "\0" in os.fspath(root):
            raise UsageError(f"{os.fspath(root)!r} is not a path", hint="name a directory")
        if _URL.match(os.fspath(root)):  # it may hold a password: not to be made a directory, nor repeated
            raise UsageError("a URL is not a path", hint="name a directory of a mounted file system")
        self.root = os.path.abspath(os.fspath(root))
        self.calls = calls or drilled.calls() or Syscalls()
        self._pinned: tuple[int, int, int] | None = None  # descriptor, device, inode

    def guard(self) -> tuple[str, ...]:
        """Make sure that nobody else chose where the path leads, now and from now on; return what is to be said.

        Where everybody may put another directory in its place, ours is held open, and each later look is compared.

        Raises:
            UsageError: somebody else did.
        """
        if not self.calls.has_paths:
            return ()
        owners.check_way(self.root)
        with self.refusals(""), self._dir("") as fd:
            found = self.calls.fstat(fd)  # from here on no name decides which directory it is
            said = owners.check_root(self.root, found)
            if self._pinned is None and owners.is_exposed(self.root):
                held = self.calls.open(".", DIRECTORY, dir_fd=fd)
                weakref.finalize(self, os.close, held)
                self._pinned = held, found.st_dev, found.st_ino
        return said

    def exists(self) -> bool:
        """Say whether the store's directory is there."""
        return os.path.isdir(self.root)

    def make_root(self) -> None:
        """Make the store's directory and its missing parents, each durable. Raises UsageError for a planted link."""
        owners.check_way(self.root)
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
                    owners.check_way(path)
                    if not os.path.isdir(path):
                        raise StorageError(f"{path} is in the way: it is not a directory") from None
                except FileNotFoundError as e:
                    raise StorageError(f"{path} cannot be made: {e.strerror}", hint="name another directory") from e
            if os.access(os.path.dirname(path), os.R_OK):
                self._sync_path(os.path.dirname(path))

    def sync_parents(self) -> None:
        """Make the store's own name durable, and those of the directories above it on the same file system.

        They may have been made a moment ago, by an attempt that was killed before it synced them. A parent that we may
        not read cannot be synced, and is passed over; and so, above the first one, is a refusal: most likely nobody
        made anything there, and it is not ours.
        """
        parent = os.path.dirname(self.root)
        if os.access(parent, os.R_OK):
            self._sync_path(parent)
        with suppress(OSError):
            device = os.stat(self.root).st_dev
            while os.stat(parent).st_dev == device and parent != os.path.dirname(parent):
                parent = os.path.dirname(parent)
                if os.access(parent, os.R_OK):
                    with suppress(StorageError):
                        self._sync_path(parent)

    def space(self) -> Space:
        """Return what is free for this user; quotas are not seen here."""
        try:
            with self._dir("") as fd:
                found = self.calls.fstatvfs(fd)
        except (OSError, StorageError):
            return Space(free_bytes=-1, free_files=-1)
        files = found.f_favail if found.f_files else -1  # btrfs and others have no fixed table
        return Space(free_bytes=found.f_bavail * found.f_frsize, free_files=files)

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
        """Translate what the storage refuses; a missing file and a taken name stay what they are.

        Of an open file neither can be said: such an answer carries no name, and is a fault of the storage.
        """
        try:
            yield
        except (FileNotFoundError, FileExistsError) as e:
            if isinstance(e.filename, (str, bytes)):
                raise
            raise self._refusal(e, path, needed) from e
        except OSError as e:
            raise self._refusal(e, path, needed) from e

    def _refusal(self, error: OSError, path: str, needed: int) -> OutlastError:
        place = os.path.join(self.root, path).rstrip("/")
        if error.errno in NO_SPACE:
            space = self.space()
            message = (
                f"{place}: {os.strerror(error.errno or 0)}: needed {needed} bytes, "
                f"{space.free_bytes} bytes and {space.free_files} files are free"
            )
            return SpaceError(message, hint="free space or quota (outlast prune), or keep fewer checkpoints")
        if error.errno == errno.EMLINK:  # a directory is full of others, or a file has as many names as it can have
            hint = "remove directories that lie beside it (outlast prune), or other names (hard links) of the file"
            return SpaceError(f"{place}: {error.strerror}", hint=hint)
        if error.errno == errno.EROFS:
            return StorageError(
                f"{place}: the file system is read-only", hint="ls, show, verify and export work; a run has to write"
            )
        hint = "it belongs to another user, or its mode is too strict: a store is continued by the user who began it"
        return StorageError(
            f"{place}: {error.strerror or error}", hint=hint if error.errno in (errno.EACCES, errno.EPERM) else ""
        )

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
        try:
            fd = self.calls.open(self.root, DIRECTORY)
        except FileNotFoundError as e:  # never taken for an empty store
            raise StorageError(f"{self.root} is gone", hint="was the store moved, removed or unmounted?") from e
        try:
            if self._pinned is not None:
                self._check_pinned(fd)
            for name in path.split("/") if path else ():
                if name in ("", ".", ".."):
                    raise StorageError(f"{path!r} is not a path inside the store")
                child = self.calls.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
                fd, parent = child, fd
                self.calls.close(parent)
            yield fd
        finally:
            self.calls.close(fd)

    def _check_pinned(self, fd: int) -> None:
        found = self.calls.fstat(fd)
        if self._pinned and (found.st_dev, found.st_ino) != self._pinned[1:]:
            raise StorageError(
                f"{self.root} is another directory than before",
                hint="everybody may rename it: somebody did. Name one in a directory that only you can write to",
            )

    def _sync_path(self, path: str) -> None:
        with self.refusals(path):
            fd = self.calls.open(path, DIRECTORY)
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
        if size >= BATCH_BYTES or len(batch) >= _BATCH_BUFFERS:
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
