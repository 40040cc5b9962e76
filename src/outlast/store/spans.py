"""How leaves are cut into pieces of work for reading: pure arithmetic on what a manifest says."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from outlast.format.codecs import stored_begins
from outlast.format.model import Leaf

PIECE_BYTES = 4 << 20  # read by one call
_SMALL_BYTES = 256 << 10  # several of these are read together
_GAP_BYTES = 64 << 10  # as quickly read as passed over


class Wanted(NamedTuple):
    """A leaf to be checked, and the place for its bytes if they are wanted."""

    leaf: Leaf
    view: memoryview | None = None


class Span(NamedTuple):
    """Whole chunks of a leaf, from byte `at` on, and the place for them."""

    leaf: Leaf
    at: int
    size_bytes: int
    view: memoryview | None


class Stored(NamedTuple):
    """Where bytes lie."""

    part: int
    at: int
    size_bytes: int


def cut(wanted: Iterable[Wanted], chunk_bytes: int) -> list[list[Span]]:
    """Return pieces of work, in the leaves' order.

    A piece is one span: as many chunks as one call reads, or one longer chunk; or small leaves that lie one behind the
    other in a part, and are read by one call.
    """
    pieces: list[list[Span]] = []
    room = 0  # how far into the part the last piece may still reach; 0: no further
    end, part = 0, -1
    for leaf, view in wanted:
        if not leaf.size_bytes:
            continue
        if leaf.size_bytes > _SMALL_BYTES or len(leaf.extents) != 1 or leaf.codec is not None:
            pieces.extend([span] for span in _spans(leaf, view, chunk_bytes))
            room = 0
            continue
        extent = leaf.extents[0]
        span = Span(leaf, 0, leaf.size_bytes, view)
        if (
            room
            and extent.part == part
            and 0 <= extent.at - end <= _GAP_BYTES
            and extent.at + extent.size_bytes <= room
        ):
            pieces[-1].append(span)
        else:
            pieces.append([span])
            part, room = extent.part, extent.at + PIECE_BYTES
        end = extent.at + extent.size_bytes
    return pieces


def _spans(leaf: Leaf, view: memoryview | None, chunk_bytes: int) -> Iterator[Span]:
    step = max(PIECE_BYTES // chunk_bytes, 1) * chunk_bytes
    for at in range(0, leaf.size_bytes, step):
        size_bytes = min(step, leaf.size_bytes - at)
        yield Span(leaf, at, size_bytes, None if view is None else view[at : at + size_bytes])


class Places:
    """Where what is stored of a leaf lies that is in several ranges, or compressed: there may be thousands."""

    def __init__(self, leaf: Leaf) -> None:
        self._extents = leaf.extents
        self._chunks = stored_begins(leaf)
        self._begins = list(itertools.accumulate((extent.size_bytes for extent in leaf.extents), initial=0))

    def of_chunk(self, number: int) -> list[Stored]:
        """Return where what is stored of a chunk lies, of a leaf that is compressed."""
        if self._chunks is None:
            raise AssertionError("a leaf that is stored as it is has no such places")
        return self.of(self._chunks[number], self._chunks[number + 1] - self._chunks[number])

    def of(self, at: int, size_bytes: int) -> list[Stored]:
        """Return where the stored bytes from `at` on lie, in order."""
        found = []
        end = at + size_bytes
        for number in range(bisect.bisect_right(self._begins, at) - 1, len(self._extents)):
            extent, begin = self._extents[number], self._begins[number]
            first, last = max(at, begin), min(end, begin + extent.size_bytes)
            if begin >= end:
                break
            if first < last:
                found.append(Stored(extent.part, extent.at + first - begin, last - first))
        return found
