"""State that is files, of any program: taken into a checkpoint as they are, and given out again.

What a program saved comes by a rename within the store's file system: nothing is copied. It is somebody else's work, so
it is looked at with suspicion: regular files and directories, and nothing else. Digests are taken of what the kernel
shows of the files before they are synced; whether that is what the program meant nobody here can know.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from outlast.backends import Backend, Posix, Reader
from outlast.errors import DamageError, StorageError, UsageError
from outlast.format.chunks import CHUNK_BYTES, chunk_bytes_of
from outlast.format.digest import Running
from outlast.format.model import Manifest, Node, StoredFile
from outlast.format.names import CheckpointName, check_relative
from outlast.format.rules import MAX_LEAVES
from outlast.store.layout import FILES, MANIFEST

COMPONENT = "state"
SINGLE = "state"  # what a save that is one file is called
MAX_FILES = MAX_LEAVES
_PIECE_BYTES = 1 << 20
_FOLDERS = "folders"

Heed = Callable[[], object]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A save that waits in the store, outside of any checkpoint: a file, or a folder.

    Args:
        path: where, relative to the store.
        is_file: which of the two.
        heed: called between pieces of work, for large saves take long. What it raises ends the save.
    """

    path: str
    is_file: bool
    heed: Heed


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """The files of an older checkpoint, which this process has taken or verified itself in this attempt.

    Args:
        manifest: its. None: there is no state at all, and the run is done all the same.
    """

    manifest: Manifest | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a checkpoint of files says of them.

    Args:
        folders: those that hold nothing; the others follow from the files.
    """

    files: tuple[StoredFile, ...]
    folders: tuple[str, ...]
    chunk_bytes: int

    @property
    def tree(self) -> dict[str, Node]:
        return {COMPONENT: {_FOLDERS: list(self.folders)}}

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


def take(backend: Posix, name: CheckpointName, files: Staged | Again, kind: str) -> Contents:
    """Bring files into the directory of a checkpoint that is being written, durable and read-only.

    Args:
        backend: the store's storage.
        name: the checkpoint; its directory is there.
        files: what to take.
        kind: of the digests.

    Raises:
        UsageError: there is something among them that cannot be state, or nothing. Naming it.
        StorageError: the storage refused. `give_back` undoes what was done.
    """
    folder = f"{name.format()}/{FILES}"
    backend.make_dir(folder)
    if isinstance(files, Again):
        backend.sync(folder)
        return (
            _contents_of(files.manifest) if files.manifest else Contents(files=(), folders=(), chunk_bytes=CHUNK_BYTES)
        )
    place = f"{folder}/{COMPONENT}"
    if files.is_file:
        backend.make_dir(place)
        backend.move(files.path, f"{place}/{SINGLE}")
    else:
        _allowed(backend, files.path, partial(backend.move, files.path, place))
    try:
        contents = _settled(backend, place, kind, files.heed)
    except DamageError as e:  # it was looked at, and is something else now
        raise StorageError(f"{e.args[0]}: changed while it was being taken", hint="is it still being written?") from e
    backend.sync(folder)
    return contents


def give_back(backend: Posix, name: CheckpointName, files: Staged | Again) -> bool:
    """Put a save that could not be committed back to where it waited. Returns whether it is there now."""
    if isinstance(files, Again):
        return False
    place = f"{name.format()}/{FILES}/{COMPONENT}"
    with suppress(StorageError, FileNotFoundError, FileExistsError):
        backend.move(f"{place}/{SINGLE}" if files.is_file else place, files.path)
        return True
    return False


def is_of_files(backend: Posix, name: CheckpointName) -> bool:
    """Say whether a checkpoint holds the state of a program that saves files, by a look at its directory.

    Raises:
        FileNotFoundError: it is gone by now.
        StorageError: it cannot be listed.
    """
    names = {entry.name for entry in backend.list(name.format(), missing_ok=False)}
    if MANIFEST not in names:  # the first to go
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), f"{name.format()}/{MANIFEST}")
    return FILES in names


def empty_folders(manifest: Manifest) -> tuple[str, ...]:
    """Return the folders of a checkpoint of files that hold nothing. Raises DamageError."""
    node = manifest.tree.get(COMPONENT)
    found = node.get(_FOLDERS) if isinstance(node, Mapping) else None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise DamageError(f"the component {COMPONENT} of step {manifest.step} is not one of files")
    for one in found:
        check_relative(one)
    return tuple(found)


def verify(backend: Backend, file: StoredFile, manifest: Manifest, *, at: str, heed: Heed) -> None:
    """Compare a file with what was saved. Raises DamageError, StorageError."""
    with backend.open(at) as opened:
        for _ in pieces(opened, file, manifest, heed):
            pass


def pieces(opened: Reader, file: StoredFile, manifest: Manifest, heed: Heed) -> Iterator[memoryview]:
    """Yield a file piece by piece; each lies there until the next one. Raises DamageError after the first bad chunk."""
    if opened.size_bytes != file.size_bytes:
        message = f"{file.at} has {opened.size_bytes} bytes, expected {file.size_bytes}"
        raise DamageError(message, path=file.at)
    buffer = memoryview(bytearray(min(_PIECE_BYTES, file.size_bytes)))
    for number, expected in enumerate(file.chunks):
        begin = number * manifest.chunk_bytes
        end, running = min(begin + manifest.chunk_bytes, file.size_bytes), Running(manifest.digest)
        for at in range(begin, end, _PIECE_BYTES):
            piece = buffer[: end - at]
            opened.read_into(piece, at)
            running.add(piece)
            yield piece
            heed()
        if running.hexdigest() != expected:
            raise DamageError(f"{file.at} differs from what was saved, at byte {begin} or after", path=file.at)


def remove_tree(backend: Posix, path: str) -> None:
    """Remove a directory and all that is in it, or a file; nothing that a link leads to. Missing is well."""
    for entry in _allowed(backend, path, partial(backend.list, path)) if backend.is_dir(path) else ():
        inner = f"{path}/{entry.name}"
        remove = partial(remove_tree if entry.kind == "dir" else _remove, backend, inner)
        _allowed(backend, path, remove)
    _remove(backend, path)


def _remove(backend: Posix, path: str) -> None:
    with suppress(FileNotFoundError):
        backend.remove(path)


def _allowed(backend: Posix, path: str, work: Callable[[], _T]) -> _T:
    """Do some work; where a mode that the program gave keeps its own user from that, take the right back, once."""
    try:
        return work()
    except StorageError:
        if not backend.loosen(path):
            raise
        return work()


def _contents_of(manifest: Manifest) -> Contents:
    return Contents(files=manifest.files, folders=empty_folders(manifest), chunk_bytes=manifest.chunk_bytes)


@dataclass(frozen=True, slots=True)
class _Listing:
    sizes: dict[str, int]
    folders: list[str]
    empty: tuple[str, ...]


def _walk(backend: Posix, place: str, heed: Heed) -> _Listing:
    """List what is below, parents first. Raises UsageError for what cannot be state."""
    sizes: dict[str, int] = {}
    folders, empty, todo = [], [], [""]
    while todo:
        folder = todo.pop()
        folders.append(folder)
        at = f"{place}/{folder}" if folder else place
        entries = _allowed(backend, at, partial(backend.list, at, missing_ok=False))
        heed()
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            _check_name(path, place)
            if entry.kind == "dir":
                todo.append(path)
            elif entry.kind == "file":
                sizes[path] = 0
            else:
                raise UsageError(f"{path!r} in the save is neither a file nor a folder", hint="links are not followed")
            if len(sizes) + len(folders) + len(todo) > MAX_FILES:
                raise UsageError(f"the save has more than {MAX_FILES} files", hint="pack them: tar, zip")
        if not entries and folder:
            empty.append(folder)
    if not sizes:
        raise UsageError("the save holds no file", hint="was it renamed before it was written?")
    for path in sizes:
        at = f"{place}/{path}"
        with _allowed(backend, at, partial(backend.open, at)) as file:
            sizes[path] = file.size_bytes
    return _Listing(sizes, folders, tuple(sorted(empty)))


def _check_name(path: str, place: str) -> None:
    try:
        check_relative(f"{place}/{path}")
    except DamageError:
        message = f"{path[:200]!a} in the save: not UTF-8, or too long a name"
        raise UsageError(message, hint="a name has at most 255 bytes, a path 4096") from None


def _settled(backend: Posix, place: str, kind: str, heed: Heed) -> Contents:
    """Look at what is below, make it durable, and say what it is."""
    listing = _walk(backend, place, heed)
    chunk_bytes = chunk_bytes_of(sum(listing.sizes.values()))

    def look(file: Reader) -> tuple[int, tuple[str, ...]]:
        return file.size_bytes, tuple(_digests(file, chunk_bytes, kind, heed))

    stored = []
    for path in sorted(listing.sizes):
        at = f"{place}/{path}"
        size_bytes, chunks = backend.settle(at, look)
        stored.append(StoredFile(component=COMPONENT, path=path, at=at, size_bytes=size_bytes, chunks=chunks))
    for one in reversed(listing.folders):  # what is below first
        backend.settle_dir(f"{place}/{one}" if one else place)
        heed()
    return Contents(files=tuple(stored), folders=listing.empty, chunk_bytes=chunk_bytes)


def _digests(file: Reader, chunk_bytes: int, kind: str, heed: Heed) -> Iterator[str]:
    """Yield the digest of each chunk of a file."""
    buffer = memoryview(bytearray(min(_PIECE_BYTES, chunk_bytes, max(file.size_bytes, 1))))
    for begin in range(0, file.size_bytes, chunk_bytes):
        end, running = min(begin + chunk_bytes, file.size_bytes), Running(kind)
        for at in range(begin, end, len(buffer)):
            view = buffer[: end - at]
            file.read_into(view, at)
            running.add(view)
            heed()
        yield running.hexdigest()
