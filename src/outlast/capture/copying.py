"""Copying the bytes of leaves from where they live to where they are kept, and finding which of them differ.

All by calls of the C library: those for large ranges let go of the interpreter, so that several threads copy at the
same time; those for small ones do not, since letting go costs more than the copy. What is given are addresses: that
they are good, and that nobody frees them meanwhile, is the caller's business.
"""

from __future__ import annotations

import ctypes
import mmap
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

from outlast.capture.crew import CREW

LARGE_BYTES = 64 << 10  # from here on a leaf is compared before it is copied, in pieces
PIECE_BYTES = 512 << 10  # a power of two below CHUNK_BYTES. Longer ones miss the fast way of copying of some CPUs
_HEAD_BYTES = 64
_LARGE_BATCH = 8  # pieces that a thread takes at a time: few enough to balance, enough to do without Python
_SMALL_BATCH = 256  # leaves


def _function(library: ctypes.CDLL, name: str, result: Any) -> Any:
    function = library[name]
    function.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    function.restype = result
    return function


_ALONE, _BESIDE = ctypes.PyDLL(None), ctypes.CDLL(None)  # holding the interpreter, and beside it
_copy_small = _function(_ALONE, "memmove", None)
_peek = _function(_ALONE, "memcmp", ctypes.c_int)
_copy = _function(_BESIDE, "memmove", None)
_compare = _function(_BESIDE, "memcmp", ctypes.c_int)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges:
    """Ranges of memory to be copied: three lists in step."""

    to: list[int] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def add(self, to: int, at: int, size_bytes: int) -> None:
        """Add a range as it is."""
        self.to.append(to)
        self.at.append(at)
        self.sizes.append(size_bytes)

    def cut(self, to: int, at: int, size_bytes: int) -> None:
        """Add a range in pieces."""
        self.to.extend(range(to, to + size_bytes, PIECE_BYTES))
        self.at.extend(range(at, at + size_bytes, PIECE_BYTES))
        self.sizes.extend([PIECE_BYTES] * (size_bytes // PIECE_BYTES))
        if size_bytes % PIECE_BYTES:
            self.sizes.append(size_bytes % PIECE_BYTES)

    def part(self, begin: int, end: int) -> tuple[list[int], list[int], list[int]]:
        """Return a part of the lists."""
        return self.to[begin:end], self.at[begin:end], self.sizes[begin:end]


@dataclass(frozen=True, slots=True)
class _Batch:
    """What one thread takes at a time: a part of the large ranges, or of the small ones."""

    is_large: bool
    begin: int
    end: int


class Copying:
    """A prepared copy of many ranges. It can be done again as long as they lie where they lay.

    Args:
        small: ranges that are copied whole.
        large: pieces of `PIECE_BYTES` at most.

    Attributes:
        differs: a byte for each of those: 0 after a copy that compared, where both sides were the same before.
    """

    def __init__(self, small: Ranges, large: Ranges) -> None:
        self._small, self._large = small, large
        self.differs: bytearray | memoryview = bytearray(len(large.sizes))
        self._batches = [
            *(_Batch(True, i, i + _LARGE_BATCH) for i in range(0, len(large.sizes), _LARGE_BATCH)),
            *(_Batch(False, i, i + _SMALL_BATCH) for i in range(0, len(small.sizes), _SMALL_BATCH)),
        ]

    def share(self) -> None:
        """Make what it notes visible to the parent of a forked child that runs it."""
        if isinstance(self.differs, bytearray) and self.differs:
            self.differs = memoryview(mmap.mmap(-1, len(self.differs)))

    def run(self, *, compares: bool) -> None:
        """Copy, with several threads. `compares`: leave what is the same already, and note what was not."""
        CREW.do(self._renew if compares else self._overwrite, self._batches)

    def run_alone(self, *, compares: bool) -> None:
        """Copy with the calling thread only."""
        deque(map(self._renew if compares else self._overwrite, self._batches), maxlen=0)

    def _overwrite(self, batch: _Batch) -> None:
        if batch.is_large:
            _each(_copy, self._large.part(batch.begin, batch.end))
        else:
            copy_small(self._small.part(batch.begin, batch.end))

    def _renew(self, batch: _Batch) -> None:
        if not batch.is_large:
            copy_small(self._small.part(batch.begin, batch.end))
            return
        part = self._large.part(batch.begin, batch.end)
        differs = list(map(_differ, *part))
        _each(_copy, [compress(items, differs) for items in part])
        self.differs[batch.begin : batch.begin + len(differs)] = bytes(differs)


def copy_small(part: Sequence[Iterable[int]]) -> None:
    """Copy a run of small ranges: addresses to and from, and sizes."""
    _each(_copy_small, part)


def _each(function: Any, lists: Sequence[Iterable[int]]) -> None:
    deque(map(function, *lists), maxlen=0)


def _differ(to: int, at: int, size_bytes: int) -> bool:
    """Whether two ranges differ: mostly they do at once, and "no" is said only when all has been compared."""
    if to == at:
        return False
    return bool(_peek(to, at, min(_HEAD_BYTES, size_bytes)) or _compare(to, at, size_bytes))


def difference(ranges: Ranges) -> bytearray:
    """Return a byte for each range: 0 where both sides are the same. Copies nothing."""
    differs = bytearray(len(ranges.sizes))

    def look(begin: int) -> None:
        found = bytes(map(_differ, *ranges.part(begin, begin + _LARGE_BATCH)))
        differs[begin : begin + len(found)] = found

    CREW.do(look, range(0, len(differs), _LARGE_BATCH))
    return differs


def by_chunk(differs: bytes, chunk_bytes: int) -> bytes:
    """Return a byte for each chunk, of bytes for each of its pieces: 0 where all of them are."""
    count = chunk_bytes // PIECE_BYTES
    padded = differs + bytes(-len(differs) % count)
    return bytes(map(max, *(padded[i::count] for i in range(count))))


def pieces_of(size_bytes: int) -> int:
    """Return in how many pieces a range is cut."""
    return -(-size_bytes // PIECE_BYTES)
