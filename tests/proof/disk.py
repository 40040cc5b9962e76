"""A disk in memory: inodes and names, storage calls on them, and calls on a real disk that are written down.

Files follow their inode, names are entries of a directory. What a crash may leave of what was written down is decided
in `crashes`; here is only what each change does.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from outlast.backends import Syscalls

ROOT = 0
_ABOVE = -1  # a directory above the disk


@dataclass(frozen=True, slots=True)
class Entry:
    """A name in a directory begins to mean an inode, or nothing. `pair` is common to the two halves of a rename."""

    inode: int  # the directory's
    name: str
    to: int | None
    pair: int = 0


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes at a place in a file."""

    inode: int
    at: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """A file is cut, or filled with zeros, to a size."""

    inode: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Sync:
    """A file or directory was synced: what was done to it before is durable."""

    inode: int


@dataclass(frozen=True, slots=True)
class Mark:
    """Something was promised: `acknowledged 3`, `claimed 2`."""

    text: str


Change = Entry | Write | Cut
Step = tuple[Change | Sync | Mark, ...]  # what one call did: a rename does two things


@dataclass(slots=True)
class Disk:
    """Directories and files by inode. A file's bytes are never changed in place, so that copies are cheap."""

    folders: dict[int, dict[str, int]] = field(default_factory=lambda: {ROOT: {}})
    files: dict[int, bytes] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> Disk:
        disk = cls()
        disk._load(folder, ROOT)
        return disk

    def _load(self, folder: Path, inode: int) -> None:
        for path in sorted(folder.iterdir()):
            child = self.new(is_folder=path.is_dir())
            self.folders[inode][path.name] = child
            if path.is_dir():
                self._load(path, child)
            else:
                self.files[child] = path.read_bytes()

    def new(self, *, is_folder: bool) -> int:
        """Make an inode without a name."""
        inode = len(self.folders) + len(self.files)
        if is_folder:
            self.folders[inode] = {}
        else:
            self.files[inode] = b""
        return inode

    def copy(self) -> Disk:
        return Disk({inode: dict(entries) for inode, entries in self.folders.items()}, dict(self.files))

    def apply(self, change: Change) -> None:
        if isinstance(change, Write):
            self.files[change.inode] = written(self.files[change.inode], change.at, change.data)
        elif isinstance(change, Cut):
            self.files[change.inode] = cut(self.files[change.inode], change.size_bytes)
        elif change.to is None:
            self.folders[change.inode].pop(change.name, None)
        else:
            self.folders[change.inode][change.name] = change.to

    def at(self, path: str, start: int = ROOT) -> int | None:
        """Return the inode of a path, None if it is not there."""
        inode: int | None = start
        for name in path.split("/") if path else ():
            inode = self.folders.get(inode, {}).get(name) if inode is not None else None
        return inode

    def links(self, inode: int) -> int:
        """Return how many names an inode has."""
        return sum(child == inode for entries in self.folders.values() for child in entries.values())

    def key(self, inode: int = ROOT) -> Hashable:
        """Return what can be seen from a directory down: equal for two disks that no reader can tell apart."""
        if inode in self.files:
            return self.files[inode]
        return frozenset((name, self.key(child)) for name, child in self.folders[inode].items())

    def reachable(self, inode: int = ROOT) -> dict[str, bytes]:
        """Return every file that has a name, by its path from a directory."""
        found = {}
        for name, child in self.folders[inode].items():
            if child in self.files:
                found[name] = self.files[child]
            else:
                found.update({f"{name}/{inner}": data for inner, data in self.reachable(child).items()})
        return found


def written(data: bytes, at: int, more: bytes) -> bytes:
    """Return a file's bytes after a write; what lies between its end and the write are zeros."""
    if at == len(data):
        return data + more
    return data[:at].ljust(at, b"\0") + more + data[at + len(more) :]


def cut(data: bytes, size_bytes: int) -> bytes:
    return data[:size_bytes].ljust(size_bytes, b"\0")


@dataclass(slots=True)
class _Open:
    inode: int
    appends: bool
    at: int = 0


def _error(number: int, path: str | None = None) -> OSError:
    return OSError(number, os.strerror(number), path)


class Memory(Syscalls):
    """The storage calls on a `Disk`, whose root stands for the real directory `base`.

    Args:
        age_s: how much older than any new file those are that are there now.
    """

    has_paths = False

    def __init__(self, disk: Disk, base: Path, *, age_s: float = 0.0) -> None:
        self.disk, self.base, self.age_s = disk, str(base), age_s
        self._old = len(disk.files) + len(disk.folders)
        self._open: dict[int, _Open] = {}
        self._numbers = itertools.count(1_000_000)  # never a real descriptor

    def _folder(self, path: str, dir_fd: int | None) -> tuple[int, str]:
        """Return the directory that a name is looked up in, and the name."""
        if dir_fd is not None:
            return self._open[dir_fd].inode, path
        inner = os.path.relpath(path, self.base)
        if inner == "." or inner.startswith(".."):  # what lies above is of no interest
            return ROOT, ""
        parent, _, name = inner.rpartition("/")
        inode = self.disk.at(parent)
        if inode is None:
            raise _error(errno.ENOENT, path)
        return inode, name

    def _find(self, path: str, dir_fd: int | None) -> int:
        folder, name = self._folder(path, dir_fd)
        inode = self.disk.at(name, folder)
        if inode is None:
            raise _error(errno.ENOENT, path)
        return inode

    def open(self, path: str, flags: int, mode: int = 0o600, *, dir_fd: int | None = None) -> int:
        folder, name = self._folder(path, dir_fd)
        inode = self.disk.at(name, folder)
        if inode is None:
            if not flags & os.O_CREAT:
                raise _error(errno.ENOENT, path)
            inode = self.disk.new(is_folder=False)
            self.disk.folders[folder][name] = inode
        elif flags & os.O_EXCL:
            raise _error(errno.EEXIST, path)
        elif flags & os.O_DIRECTORY and inode in self.disk.files:
            raise _error(errno.ENOTDIR, path)
        fd = next(self._numbers)
        self._open[fd] = _Open(inode, bool(flags & os.O_APPEND))
        return fd

    def close(self, fd: int) -> None:
        del self._open[fd]

    def writev(self, fd: int, buffers: Sequence[Any]) -> int:
        data = b"".join(bytes(one) for one in buffers)
        opened = self._open[fd]
        old = self.disk.files[opened.inode]
        at = len(old) if opened.appends else opened.at
        self.disk.files[opened.inode] = written(old, at, data)
        opened.at = at + len(data)
        return len(data)

    def pwrite(self, fd: int, data: Any, at: int) -> int:
        inode = self._open[fd].inode
        self.disk.files[inode] = written(self.disk.files[inode], at, bytes(data))
        return len(data)

    def allocate(self, fd: int, size_bytes: int) -> None:
        inode = self._open[fd].inode
        self.disk.files[inode] = self.disk.files[inode].ljust(size_bytes, b"\0")

    def buffered(self, fd: int) -> None:
        assert fd in self._open

    def lock(self, fd: int, how: int) -> None:
        """Nobody else is here."""

    def preadv(self, fd: int, buffers: Sequence[Any], at: int, flags: int = 0) -> int:
        data = self.disk.files[self._open[fd].inode]
        done = 0
        for buffer in buffers:
            piece = data[at + done : at + done + len(buffer)]
            buffer[: len(piece)] = piece
            done += len(piece)
        return done

    def fsync(self, fd: int) -> None:
        assert fd in self._open

    def link(self, path: str, to: str, *, dir_fd: int) -> None:
        folder = self.disk.folders[self._open[dir_fd].inode]
        if to in folder:
            raise _error(errno.EEXIST, to)
        folder[to] = self._find(path, dir_fd)

    def link_across(self, path: str, to: str, *, dir_fd: int, to_dir_fd: int) -> None:
        folder = self.disk.folders[self._open[to_dir_fd].inode]
        if to in folder:
            raise _error(errno.EEXIST, to)
        folder[to] = self._find(path, dir_fd)

    def chmod(self, fd: int, mode: int) -> None:
        assert fd in self._open

    def chmod_name(self, name: str, mode: int, *, dir_fd: int) -> None:
        self._find(name, dir_fd)

    def unlink(self, path: str, *, dir_fd: int) -> None:
        if self._find(path, dir_fd) not in self.disk.files:
            raise _error(errno.EISDIR, path)
        del self.disk.folders[self._open[dir_fd].inode][path]

    def rename(self, path: str, to: str, *, dir_fd: int, to_dir_fd: int) -> None:
        inode = self._find(path, dir_fd)
        del self.disk.folders[self._open[dir_fd].inode][path]
        self.disk.folders[self._open[to_dir_fd].inode][to] = inode

    def mkdir(self, path: str, mode: int = 0o700, *, dir_fd: int | None = None) -> None:
        folder, name = self._folder(path, dir_fd)
        if name in self.disk.folders[folder]:
            raise _error(errno.EEXIST, path)
        self.disk.folders[folder][name] = self.disk.new(is_folder=True)

    def rmdir(self, path: str, *, dir_fd: int) -> None:
        if self.disk.folders[self._find(path, dir_fd)]:
            raise _error(errno.ENOTEMPTY, path)
        del self.disk.folders[self._open[dir_fd].inode][path]

    def scandir(self, fd: int) -> list[tuple[str, bool, bool]]:
        entries = self.disk.folders[self._open[fd].inode]
        return [(name, inode in self.disk.files, inode in self.disk.folders) for name, inode in entries.items()]

    def fstat(self, fd: int) -> os.stat_result:
        return self._stat(self._open[fd].inode)

    def stat(self, path: str, *, dir_fd: int) -> os.stat_result:
        return self._stat(self._find(path, dir_fd))

    def _stat(self, inode: int) -> Any:
        is_file = inode in self.disk.files
        return SimpleNamespace(
            st_mode=stat.S_IFREG if is_file else stat.S_IFDIR,
            st_size=len(self.disk.files[inode]) if is_file else 0,
            st_mtime=0.0 if inode < self._old else self.age_s,
            st_mtime_ns=0,
            st_dev=1,
            st_ino=inode,
            st_nlink=self.disk.links(inode),
        )

    def truncate(self, fd: int, size_bytes: int) -> None:
        inode = self._open[fd].inode
        self.disk.files[inode] = cut(self.disk.files[inode], size_bytes)

    def utime(self, fd: int) -> None:
        assert fd in self._open

    def fstatvfs(self, fd: int) -> Any:
        return SimpleNamespace(f_files=0, f_favail=0, f_bavail=1 << 20, f_frsize=4096)


class Died(BaseException):
    """The process is dead; nothing may catch this."""


class Recorder(Syscalls):
    """The real calls, each written down after it was carried out.

    Args:
        base: the real directory that the disk's root stands for.

    Attributes:
        steps: what the calls changed, in order. `now`: the disk as the calls have left it, by this record alone.
        dies_at: after so many steps nothing is carried out any more, as if the process had been killed; it gets `Died`.
    """

    def __init__(self, base: Path) -> None:
        self.base = str(base)
        self.now = Disk.load(base)
        self.steps: list[Step] = []
        self.dies_at: int | None = None
        self._open: dict[int, _Open] = {}
        self._lock = threading.Lock()

    def handed_on(self) -> Recorder:
        """Forget the process: its descriptors, and that it died."""
        self.dies_at = None
        self._open.clear()
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def _live(self) -> None:
        if self.dies_at is not None and len(self.steps) >= self.dies_at:
            raise Died

    def mark(self, text: str) -> None:
        """Write a promise down."""
        self.steps.append((Mark(text),))

    def _did(self, *changes: Change) -> None:
        for change in changes:
            self.now.apply(change)
        self.steps.append(changes)

    def _place(self, path: str, dir_fd: int | None) -> tuple[int, str]:
        if dir_fd is not None:
            return self._open[dir_fd].inode, path
        parent, _, name = os.path.relpath(path, self.base).rpartition("/")
        folder = self.now.at(parent)
        assert folder is not None, f"{path}: a directory that no storage call made"
        return folder, "" if name == "." else name

    def open(self, path: str, flags: int, mode: int = 0o600, *, dir_fd: int | None = None) -> int:
        self._live()
        fd = super().open(path, flags, mode, dir_fd=dir_fd)
        if dir_fd is None and os.path.relpath(path, self.base).startswith(".."):
            self._open[fd] = _Open(_ABOVE, appends=False)
            return fd
        folder, name = self._place(path, dir_fd)
        inode = self.now.at(name, folder)
        if inode is None:
            assert flags & os.O_CREAT, f"{path}: a name that no storage call made"
            inode = self.now.new(is_folder=False)
            self._did(Entry(folder, name, inode))
        self._open[fd] = _Open(inode, bool(flags & os.O_APPEND))
        return fd

    def close(self, fd: int) -> None:
        del self._open[fd]
        super().close(fd)

    def writev(self, fd: int, buffers: Sequence[Any]) -> int:
        self._live()
        done = super().writev(fd, buffers)
        opened = self._open[fd]
        at = len(self.now.files[opened.inode]) if opened.appends else opened.at
        self._did(Write(opened.inode, at, b"".join(bytes(one) for one in buffers)[:done]))
        opened.at = at + done
        return done

    def pwrite(self, fd: int, data: Any, at: int) -> int:
        with self._lock:
            self._live()
            done = super().pwrite(fd, data, at)
            self._did(Write(self._open[fd].inode, at, bytes(data)[:done]))
        return done

    def allocate(self, fd: int, size_bytes: int) -> None:
        """Reserved blocks read as zeros; those that the file has keep what is in them."""
        self._live()
        super().allocate(fd, size_bytes)
        inode = self._open[fd].inode
        self._did(Cut(inode, max(size_bytes, len(self.now.files[inode]))))

    def fsync(self, fd: int) -> None:
        self._live()
        super().fsync(fd)
        inode = self._open[fd].inode
        if inode != _ABOVE:
            self.steps.append((Sync(inode),))

    def link(self, path: str, to: str, *, dir_fd: int) -> None:
        self._live()
        super().link(path, to, dir_fd=dir_fd)
        folder = self._open[dir_fd].inode
        self._did(Entry(folder, to, self.now.folders[folder][path]))

    def link_across(self, path: str, to: str, *, dir_fd: int, to_dir_fd: int) -> None:
        self._live()
        super().link_across(path, to, dir_fd=dir_fd, to_dir_fd=to_dir_fd)
        inode = self.now.folders[self._open[dir_fd].inode][path]
        self._did(Entry(self._open[to_dir_fd].inode, to, inode))

    def unlink(self, path: str, *, dir_fd: int) -> None:
        self._live()
        super().unlink(path, dir_fd=dir_fd)
        self._did(Entry(self._open[dir_fd].inode, path, None))

    def rename(self, path: str, to: str, *, dir_fd: int, to_dir_fd: int) -> None:
        self._live()
        super().rename(path, to, dir_fd=dir_fd, to_dir_fd=to_dir_fd)
        folder, to_folder, pair = self._open[dir_fd].inode, self._open[to_dir_fd].inode, len(self.steps) + 1
        inode = self.now.folders[folder][path]
        self._did(Entry(folder, path, None, pair), Entry(to_folder, to, inode, pair))

    def mkdir(self, path: str, mode: int = 0o700, *, dir_fd: int | None = None) -> None:
        self._live()
        super().mkdir(path, mode, dir_fd=dir_fd)
        folder, name = self._place(path, dir_fd)
        self._did(Entry(folder, name, self.now.new(is_folder=True)))

    def rmdir(self, path: str, *, dir_fd: int) -> None:
        self._live()
        super().rmdir(path, dir_fd=dir_fd)
        self._did(Entry(self._open[dir_fd].inode, path, None))

    def truncate(self, fd: int, size_bytes: int) -> None:
        self._live()
        super().truncate(fd, size_bytes)
        self._did(Cut(self._open[fd].inode, size_bytes))
