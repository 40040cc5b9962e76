"""Files of a checkpoint given out again: to a program that goes on from them, or to a person. Verified on the way."""

from __future__ import annotations

import os
from collections.abc import Sequence

from outlast.backends import Posix
from outlast.backends.pace import Pace
from outlast.backends.publishing import TEMPORARY
from outlast.backends.writing import Effort, Sink
from outlast.clock import SYSTEM
from outlast.errors import DamageError, OutlastError, StorageError, UsageError
from outlast.format.model import Manifest, StoredFile
from outlast.store.files import Heed, empty_folders, pieces, remove_tree, verify
from outlast.store.layout import is_listed

_PIECE_BYTES = 1 << 20


def hand_out(backend: Posix, manifest: Manifest, folder: str, heed: Heed) -> None:
    """Verify the files of a checkpoint, every byte, and give each a second name below a new folder of the store.

    Nothing is copied. What the checkpoint's directory holds besides is not given out.

    Raises:
        DamageError: a file is not what was saved.
        SpaceError: there is no room for one more name.
        StorageError: the storage refused; whether the checkpoint or the folder, `check` can tell.
    """
    backend.make_dir(folder)
    made = {""}
    for one in empty_folders(manifest):
        _make_dirs(backend, folder, one, made)
    for file in manifest.files:
        above = file.path.rpartition("/")[0]
        _make_dirs(backend, folder, above, made)
        try:
            backend.link(file.at, f"{folder}/{file.path}")
        except FileNotFoundError:
            raise _missing(backend, file) from None
        verify(backend, file, manifest, at=f"{folder}/{file.path}", heed=heed)


def check(backend: Posix, manifest: Manifest, heed: Heed) -> None:
    """Verify the files of a checkpoint where they lie. Raises DamageError, StorageError."""
    for file in manifest.files:
        try:
            verify(backend, file, manifest, at=file.at, heed=heed)
        except FileNotFoundError:
            raise _missing(backend, file) from None


def copy_out(
    backend: Posix,
    manifest: Manifest,
    files: Sequence[StoredFile],
    folders: Sequence[str],
    *,
    to: Posix,
    folder: str,
) -> None:
    """Copy files of a checkpoint to a new folder, somewhere else; each byte is verified on its way.

    Args:
        backend: the store's storage.
        manifest: the checkpoint's.
        files: those that are wanted.
        folders: those that hold nothing, and are wanted.
        to: where.
        folder: its name there. It appears when it is whole.

    Raises:
        DamageError: a file is not what was saved.
        UsageError: the folder is there by now.
        StorageError: the storage refused.
    """
    staging = f"{TEMPORARY}{os.urandom(8).hex()}"
    to.make_dir(staging)
    try:
        made = {""}
        for one in folders:
            _make_dirs(to, staging, one, made)
        for file in files:
            _make_dirs(to, staging, file.path.rpartition("/")[0], made)
            _copy(backend, manifest, file, to, f"{staging}/{file.path}")
        for one in made:
            to.sync(f"{staging}/{one}" if one else staging)
        to.move(staging, folder)
    except FileExistsError:
        remove_tree(to, staging)
        raise UsageError(f"{folder} exists by now", hint="name another folder; nothing is overwritten") from None
    except OutlastError:
        remove_tree(to, staging)
        raise
    to.sync("")


def _copy(backend: Posix, manifest: Manifest, file: StoredFile, to: Posix, path: str) -> None:
    effort = Effort(workers=1, nice=0, direct=False, pace=Pace(SYSTEM, None))

    def fill(sink: Sink) -> int:
        at = 0
        for data in pieces(opened, file, manifest, _no_heed):
            at = sink.write(at, [data])
        return at

    try:
        with backend.open(file.at) as opened:
            to.build(path, fill, bound_bytes=0, effort=effort)
    except FileNotFoundError:
        raise _missing(backend, file) from None


def _missing(backend: Posix, file: StoredFile) -> OutlastError:
    """Say what it means that a file is not there: that it is not listed, or that the storage shows stale names."""
    if is_listed(backend, file.at):
        return StorageError(f"{file.at} is listed, and cannot be opened: the storage shows stale names")
    return DamageError(f"{file.at} is gone", path=file.at)


def _make_dirs(backend: Posix, folder: str, path: str, made: set[str]) -> None:
    """Make a directory below `folder`, and those above it."""
    names = path.split("/")
    for count in range(1, len(names) + 1):
        one = "/".join(names[:count])
        if one not in made:
            made.add(one)
            backend.make_dir(f"{folder}/{one}")


def _no_heed() -> None:
    """Work on."""
