"""A store driven by `Custody`: attempts of a program that saves files, which makes storage calls of its own."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from outlast.backends import Syscalls
from outlast.clock import SYSTEM, Clock
from outlast.errors import SpaceError, StorageError
from outlast.format.names import CheckpointName
from outlast.store import Lease, Store
from outlast.supervise.custody import Custody
from storekit import Attempt, saved_files


@dataclass
class Files(Attempt):
    """An attempt whose state is files."""

    custody: Custody | None = None

    @classmethod
    def begin(
        cls,
        path: Path,
        *,
        calls: Syscalls | None = None,
        lean: int | None = None,
        takeover: bool = False,
        clock: Clock = SYSTEM,
    ) -> Self:
        assert lean is None
        store = Store(path, create=True, calls=calls, clock=clock)
        return cls.of(store, store.claim(takeover=takeover))

    @classmethod
    def of(cls, store: Store, lease: Lease, *, lean: int | None = None) -> Self:
        custody = Custody.under(lease, store, tell=lambda *_, **__: None)
        return cls(store, lease, custody._writer, custody._pruner, custody)

    def restore(self) -> int | None:
        """What the attempt was given, or has saved since: compared with what its step calls for."""
        if self.custody.last is not None:
            return super().restore()
        restored = self.custody.restored
        if restored is None:
            return None
        try:
            found = self._given(os.path.relpath(restored.folder, self.store.path))
        except FileNotFoundError:
            self.custody.check()  # a newer attempt is sweeping it away
            raise
        if found != saved_files(restored.step):
            self.custody.check()
        assert found == saved_files(restored.step), f"wrong bytes were given out for step {restored.step}"
        return restored.step

    def _given(self, folder: str) -> dict[str, bytes]:
        """The files that the attempt was given, by their paths."""
        backend = self.store.backend
        found = {}
        todo = [""]
        while todo:
            at = todo.pop()
            for entry in backend.list(f"{folder}/{at}".rstrip("/"), missing_ok=False):
                inner = f"{at}/{entry.name}" if at else entry.name
                if entry.kind == "dir":
                    todo.append(inner)
                    continue
                with backend.open(f"{folder}/{inner}") as file:
                    found[inner] = bytearray(file.size_bytes)
                    file.read_into(memoryview(found[inner]), 0)
        return found

    def save(self, step: int, *, keep: int | None = None, **more: object) -> CheckpointName:
        try:
            write(self.store.backend.calls, self.custody.folder, step)
        except StorageError:
            self.custody.check()  # a newer attempt has swept its folder away
            raise
        name = self.custody.take(str(step), step, done=bool(more.get("done"))).name
        if keep is not None:
            self.prune(keep)
        return name


def write(calls: Syscalls, folder: str, step: int) -> None:
    """Save as a program does: whatever name, then the step's. Nothing is synced."""
    try:
        _write(calls, folder, step)
    except OSError as e:
        kind = SpaceError if e.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else StorageError
        raise kind(f"the program could not save: {e}") from e


def _write(calls: Syscalls, folder: str, step: int) -> None:
    _make(calls, folder)
    files = saved_files(step)
    if step % 2:
        _fill(calls, f"{folder}/new", files["state"])
    else:
        for inner in ("new", "new/none", "new/in", "new/in/deep"):
            _make(calls, f"{folder}/{inner}")
        for path, data in files.items():
            _fill(calls, f"{folder}/new/{path}", data)
    fd = calls.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        calls.rename("new", str(step), dir_fd=fd, to_dir_fd=fd)
    finally:
        calls.close(fd)


def _make(calls: Syscalls, path: str) -> None:
    try:
        calls.mkdir(path)
    except FileExistsError:
        return


def _fill(calls: Syscalls, path: str, data: bytes) -> None:
    fd = calls.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        while data:
            data = data[calls.writev(fd, [data]) :]
    finally:
        calls.close(fd)
