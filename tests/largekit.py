"""Attempts on the fast path, with its numbers made small: pieces of two blocks, chunks of one, a few dozen kilobytes.

What is large there, the fast path takes for large here: several threads or one, direct I/O, sharing by chunk, and
blocks that are overwritten. The state is `storekit.bands`.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import ClassVar
from unittest import mock

import storekit
from outlast.backends import writing
from outlast.backends.effort import IO
from outlast.format import chunks
from outlast.format.model import LeafBytes
from outlast.store import Draft, packing, share
from outlast.store.commit import Committed
from storekit import BAND_BYTES, Attempt

PIECE_BYTES = 2 * writing.BLOCK_BYTES


@contextmanager
def small() -> Iterator[None]:
    """Have small states take the way of large ones."""
    with ExitStack() as stack:
        for module, name, value in (
            (chunks, "CHUNK_BYTES", BAND_BYTES),
            (writing, "PIECE_BYTES", PIECE_BYTES),
            (share, "LARGE_FROM_BYTES", writing.BLOCK_BYTES),
            (share, "SHARED_FROM_BYTES", BAND_BYTES),
            (packing, "SHARED_FROM_BYTES", BAND_BYTES),
        ):
            stack.enter_context(mock.patch.object(module, name, value))
        yield


@dataclass
class Large(Attempt):
    """An attempt whose parts are large. Its snapshots lie in memory as a run's do, and say what changed."""

    io: ClassVar[IO] = IO(threads=1)

    number: int = 0
    before: dict[str, bytes] = field(default_factory=dict)

    def commit(self, step: int, **more: object) -> Committed:
        del more
        state = storekit.bands(step)
        changed = {path: _changed(data, self.before[path]) for path, data in state.items()} if self.before else {}
        drafted = Draft(
            step=step,
            tree=_TREE | {"step": step},
            leaves=_in_memory(state),
            number=self.number + 1,
            since=self.number or None,
            changed=changed,
        )
        self.number, self.before = self.number + 1, state
        with small():
            return self.writer.commit(drafted)


class Reusing(Large):
    """Each save overwrites the part that the pruning before it took away; all are whole."""

    lean: ClassVar[int] = 0
    io: ClassVar[IO] = IO(threads=1, reuse=True)


class ReusingLeant(Large):
    """As `Reusing`, of checkpoints that share chunks: a part is free when the last that names it has gone."""

    lean: ClassVar[int] = 1
    io: ClassVar[IO] = IO(threads=1, reuse=True)


class Crowd(Large):
    """Several threads, whose order nobody knows."""

    lean: ClassVar[int] = 1
    io: ClassVar[IO] = IO(threads=3, reuse=True)


_TREE = {
    "model": {name: {"$": "array", "leaf": f"model/{name}"} for name in ("band", "w", "empty")},
    "t": {"$": "array", "leaf": "t"},
}


def _in_memory(state: dict[str, bytes]) -> list[LeafBytes]:
    """Lay leaves one behind the other from a page's beginning: some pieces can be written from where they are."""
    room = memoryview(mmap.mmap(-1, sum(map(len, state.values()))))
    leaves, at = [], 0
    for path, data in state.items():
        room[at : at + len(data)] = data
        leaves.append(LeafBytes(path=path, dtype="uint8", shape=(len(data),), data=room[at : at + len(data)]))
        at += len(data)
    return leaves


def _changed(data: bytes, before: bytes) -> bytes:
    places = range(0, len(data), BAND_BYTES)
    return bytes(data[at : at + BAND_BYTES] != before[at : at + BAND_BYTES] for at in places)
