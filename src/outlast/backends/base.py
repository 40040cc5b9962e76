"""What the store asks of storage: names, whole files published once, directories synced. The contract, no code.

Paths are relative to the store, with "/" between names; `""` is the store itself. A missing file raises
FileNotFoundError, a taken name FileExistsError; every other refusal is a StorageError or SpaceError that
names the path. Nothing is followed through a symbolic link.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A name in a directory. `kind` is file, dir or other (links, sockets, FIFOs: never opened)."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What is left for this user. -1 where the file system does not say."""

    free_bytes: int
    free_files: int


class Reader(Protocol):
    """An open file."""

    size_bytes: int

    def read_into(self, view: memoryview, at: int) -> None:
        """Fill `view` from offset `at`. Raises DamageError if the file ends before."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Appender(Protocol):
    """An open journal. One owner; not safe between threads."""

    def append(self, data: bytes, *, sync: bool) -> None:
        """Add `data` at the end; durable on return if `sync`. After an error all, some or nothing of it is there."""
        ...

    def touch(self) -> None:
        """Set the file's time stamp to now by the file system's clock: a heartbeat."""
        ...

    def close(self) -> None: ...


class Backend(Protocol):
    """Storage under one root."""

    def list(self, path: str, *, missing_ok: bool = True) -> tuple[Entry, ...]:
        """List a directory, from the storage itself and not from any memory of it; () if it is missing and may be."""
        ...

    def open(self, path: str) -> Reader:
        """Open a regular file for reading."""
        ...

    def create(self, path: str, blocks: Sequence[Buffer]) -> int:
        """Publish a whole new file: atomic, exclusive, its data durable. Returns its size in bytes.

        The *name* is durable only after `sync` of the directory. A failed sync of the data condemns
        the file: it is written anew elsewhere from `blocks`, at most twice.
        """
        ...

    def appender(self, path: str) -> Appender:
        """Open an existing file for appending."""
        ...

    def make_dir(self, path: str) -> None:
        """Make a directory that must not exist. Durable after `sync` of its parent."""
        ...

    def sync(self, path: str) -> None:
        """Make the names in a directory durable. A failure leaves the outcome unknown."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file or an empty directory."""
        ...

    def move(self, path: str, to: str) -> None:
        """Rename within the store. `to` must not exist."""
        ...
