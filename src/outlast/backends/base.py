"""What the store asks of storage: names, whole files published once, directories synced. The contract, no code.

Paths are relative to the store, with "/" between names; `""` is the store itself. A missing file raises
FileNotFoundError, a taken name FileExistsError; every other refusal is a StorageError or SpaceError that
names the path. Nothing is followed through a symbolic link.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from outlast.backends.reading import Room
    from outlast.backends.writing import Effort, Sink

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What somebody may use. None: no limit.

    Args:
        whose: user, group, project or fileset, and its name: "user alice".
        told_by: the command that said so.
    """

    whose: str
    used_bytes: int
    limit_bytes: int | None
    used_files: int
    limit_files: int | None
    told_by: str

    @property
    def used_share(self) -> float:
        """Return how much of the tighter limit is used, from 0; 0 where there is none."""
        pairs = ((self.used_bytes, self.limit_bytes), (self.used_files, self.limit_files))
        return max((used / limit for used, limit in pairs if limit), default=0.0)


class Reader(Protocol):
    """An open file. Several threads may read from it."""

    size_bytes: int

    def read_into(self, view: memoryview, at: int) -> None:
        """Fill `view` from offset `at`. Raises DamageError if the file ends before."""
        ...

    def fill(self, view: memoryview, at: int, room: Room) -> None:
        """As `read_into`, of large ranges: past the kernel's cache where `room` asks for it and the storage can."""
        ...

    def held_bytes(self, at: int, size_bytes: int, room: Room) -> int:
        """Say how many bytes from `at` on memory holds; 0 if that is not known, or `room` reads through the cache."""
        ...

    def take(self, view: memoryview, at: int) -> int:
        """Fill the view's beginning without waiting for the storage; return how many bytes that is, maybe 0."""
        ...

    def gather(self, at: int, size_bytes: int, room: Room) -> memoryview:
        """Return bytes as they lie in `room` now, until it is used again. Raises as `read_into`."""
        ...

    def map(self, at: int, size_bytes: int) -> memoryview | None:
        """Return a read-only view of the file itself, open as long as it is held; None where there is no such thing."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Spare(Protocol):
    """A file in the store's directory that is nobody's any more. Nobody else can read it while this is held."""

    name: str
    size_bytes: int

    def close(self) -> None:
        """Let go of it; the file is left as it is, wherever it is by then."""
        ...


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

    def open(self, path: str, *, shared: bool = False) -> Reader:
        """Open a regular file for reading.

        With `shared`, nobody reuses its blocks while it is open, where the storage has locks. What is being reused
        is gone already: FileNotFoundError.
        """
        ...

    def create(self, path: str, blocks: Sequence[Buffer], *, mode: int = 0o600) -> int:
        """Publish a whole new file: atomic, exclusive, its data durable, of `mode` less the umask. Returns its size.

        The *name* is durable only after `sync` of the directory. A failed sync of the data condemns
        the file: it is written anew elsewhere from `blocks`, at most twice.
        """
        ...

    def build(
        self, path: str, fill: Callable[[Sink], int], *, bound_bytes: int, effort: Effort, spare: Spare | None = None
    ) -> int:
        """Publish a large new file, as `create` does; return its size.

        Args:
            path: its name.
            fill: writes into the sink and returns the file's size. Called again if a file was condemned.
            bound_bytes: what it will have at most: so much is asked for beforehand, which a full disk refuses at once.
                0: nobody knows; nothing is asked for.
            effort: threads, priority, rate, direct I/O.
            spare: its blocks are overwritten instead of asking for new ones, if it is still there. It is gone
                afterwards, and let go of.
        """
        ...

    def appender(self, path: str, *, holds: bytes | None = None) -> Appender:
        """Open an existing file for appending. With `holds`, only if this is all that is in it.

        Else another file of ours, put in its place by a link of somebody's, would be written to.
        """
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

    def set_aside(self, path: str, to: str) -> Spare | None:
        """Take a file that no table names out of its place, to be overwritten later; `to` is a name in the root.

        None, and nothing was done, if it has another name, if somebody reads it, or if the storage has no locks that
        would tell.
        """
        ...
