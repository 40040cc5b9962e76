"""The digests of a state's chunks: taken once, from memory, by whichever thread comes to a chunk first."""

from __future__ import annotations

import bisect
import functools
from collections.abc import Sequence

from outlast.backends.crew import each
from outlast.format.chunks import chunk_bytes_of
from outlast.format.digest import hexdigest
from outlast.format.model import LeafBytes
from outlast.store.packing import Entry


class Digests:
    """Of each chunk of each leaf, once it has been taken.

    Args:
        leaves: whose.
        kind: of the digests.
        chunk_bytes: how long the chunks are, if these leaves are only a part of the state.

    Attributes:
        chunk_bytes: how long the chunks are.
    """

    def __init__(self, leaves: Sequence[LeafBytes], kind: str, chunk_bytes: int = 0) -> None:
        self._leaves, self._kind = leaves, kind
        self.chunk_bytes = chunk_bytes or chunk_bytes_of(sum(leaf.data.nbytes for leaf in leaves))
        self._found: list[list[str]] = [[""] * -(-leaf.data.nbytes // self.chunk_bytes) for leaf in leaves]
        self._begins: list[int] = []
        self._chunks: list[tuple[int, int]] = []

    def adopt(self, number: int, begin: int, end: int, digests: Sequence[str]) -> None:
        """Take over those of a range of a leaf's bytes that are as they were, from those of the whole leaf."""
        first, last = begin // self.chunk_bytes, -(-end // self.chunk_bytes)
        self._found[number][first:last] = digests[first:last]

    def of(self, number: int) -> tuple[str, ...]:
        """Return those of a leaf, all taken."""
        return tuple(self._found[number])

    def take(self, number: int, chunk: int) -> None:
        """Take that of a chunk, unless that was done."""
        if not self._found[number][chunk]:
            at = chunk * self.chunk_bytes
            self._found[number][chunk] = hexdigest(
                self._leaves[number].data.cast("B")[at : at + self.chunk_bytes], self._kind
            )

    def take_all(self, number: int, workers: int) -> tuple[str, ...]:
        """Return those of a leaf, taken now by several threads."""
        each(functools.partial(self.take, number), len(self._found[number]), workers)
        return self.of(number)

    def place(self, entries: Sequence[Entry]) -> None:
        """Say where in the file chunks will stand, for `before`."""
        for entry in entries:
            first = entry.begin // self.chunk_bytes
            for chunk in range(first, -(-entry.end // self.chunk_bytes)):
                self._begins.append(entry.at + (chunk - first) * self.chunk_bytes)
                self._chunks.append((entry.number, chunk))

    def before(self, begin: int, end: int) -> None:
        """Take the digests of all chunks that begin in a range of the file. They must not see what storage does."""
        first = bisect.bisect_left(self._begins, begin)
        for number, chunk in self._chunks[first : bisect.bisect_left(self._begins, end)]:
            self.take(number, chunk)
