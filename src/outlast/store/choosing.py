"""Which leaves are worth compressing, and how: decided for each from a sample of it, and remembered for a while."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from outlast.backends.crew import each
from outlast.backends.effort import ALWAYS, IO
from outlast.clock import Clock
from outlast.format.codecs import WIDTHS, Compressor
from outlast.format.dtypes import itemsize
from outlast.format.model import LeafBytes
from outlast.store.packing import SHARED_FROM_BYTES, Key

MEASURED_FOR_SAVES = 32
_SAMPLE_BYTES = 1 << 20  # eight blocks of zstd: in less, bytes of several places of 8-byte items share one block's code
_TWO_SAMPLES_FROM_BYTES = 16 << 20
_STEP_BYTES = 4096
_SMALLER_BY = 0.9  # what is stored of what there was: else it is not worth it to anybody
_TELLING_BYTES = 16 << 20  # a smaller part takes as long as it takes to sync


class Tried(NamedTuple):
    """What came of compressing a sample.

    Args:
        width: how its bytes were regrouped.
        ratio: stored bytes to bytes.
        rate_bytes_s: of one thread.
    """

    width: int
    ratio: float
    rate_bytes_s: float


@dataclass(frozen=True, slots=True)
class _Measured:
    save: int
    tried: tuple[Tried, ...]


class Chooser:
    """Decides for the leaves of one writer.

    Args:
        clock: measures.
        io: whether to compress at all, and with how many threads.
    """

    def __init__(self, clock: Clock, io: IO) -> None:
        self._clock, self._io = clock, io
        self._threads = min(io.workers, len(os.sched_getaffinity(0)))
        self._found: dict[Key, _Measured] = {}
        self._save = 0
        self._disk_bytes_s: float | None = None

    def learn(self, size_bytes: int, took_s: float) -> None:
        """Hear how long the storage took for a part of which nothing is compressed: others make it look slower."""
        if size_bytes >= _TELLING_BYTES and took_s > 0:
            self._disk_bytes_s = size_bytes / took_s

    def widths(self, leaves: Iterable[tuple[int, LeafBytes]]) -> dict[int, int]:
        """Return by number how the bytes of those leaves are to be regrouped that are to be compressed."""
        if not self._io.compress or (self._disk_bytes_s is None and self._io.compress != ALWAYS):
            return {}  # what a large part takes as it is has to be known before anything can be said to be faster
        self._save += 1
        large = [(number, leaf) for number, leaf in leaves if leaf.data.nbytes >= SHARED_FROM_BYTES]
        self._measure([leaf for _, leaf in large if self._is_old(leaf)])
        found = [(number, self._choice(self._found[leaf.path, leaf.offset])) for number, leaf in large]
        return {number: width for number, width in found if width is not None}

    def _choice(self, found: _Measured) -> int | None:
        disk_bytes_s = None if self._io.compress == ALWAYS else self._disk_bytes_s
        return choose(found.tried, self._threads, disk_bytes_s)

    def _is_old(self, leaf: LeafBytes) -> bool:
        known = self._found.get((leaf.path, leaf.offset))
        return known is None or self._save - known.save >= MEASURED_FOR_SAVES

    def _measure(self, leaves: Sequence[LeafBytes]) -> None:
        def work(number: int) -> None:
            leaf = leaves[number]
            self._found[leaf.path, leaf.offset] = _Measured(self._save, tuple(self._try(leaf)))

        each(work, len(leaves), self._threads, nice=self._io.nice)

    def _try(self, leaf: LeafBytes) -> list[Tried]:
        """Compress a sample as it is, and regrouped by its items."""
        item = itemsize(leaf.dtype)
        compressor = Compressor()
        samples = _samples(leaf.data.cast("B"))
        whole_bytes = sum(map(len, samples))
        found = []
        for width in sorted({1, item} & set(WIDTHS)):
            began_s = self._clock.monotonic()
            stored_bytes = sum(len(compressor.pack(sample, width)) for sample in samples)
            took_s = self._clock.monotonic() - began_s
            rate_bytes_s = whole_bytes / took_s if took_s > 0 else float("inf")
            found.append(Tried(width, stored_bytes / whole_bytes, rate_bytes_s))
        return found


def choose(tried: Iterable[Tried], threads: int, disk_bytes_s: float | None) -> int | None:
    """Return the width of the best that pays; None if none does.

    Compressing and then writing what is left takes 1 / (rate * threads) + ratio / disk seconds a byte; writing it as it
    is 1 / disk.

    Args:
        tried: what was measured.
        threads: how many compress at the same time.
        disk_bytes_s: how fast the storage takes bytes. None: that does not matter, and it pays where it makes the leaf
            smaller by a tenth.
    """
    if disk_bytes_s is None:
        smallest = min(tried, key=lambda one: one.ratio)
        return smallest.width if smallest.ratio <= _SMALLER_BY else None

    def cost_s(one: Tried) -> float:
        return 1 / (one.rate_bytes_s * threads) + one.ratio / disk_bytes_s

    fastest = min(tried, key=cost_s)
    return fastest.width if fastest.ratio < 1 and cost_s(fastest) <= 1 / disk_bytes_s else None


def _samples(data: memoryview) -> list[memoryview]:
    """Return a piece of the middle, and of a large leaf one of the beginning too; of whole items of any width."""
    begin = (len(data) - min(_SAMPLE_BYTES, len(data))) // 2 // _STEP_BYTES * _STEP_BYTES
    begins = {begin, 0} if len(data) >= _TWO_SAMPLES_FROM_BYTES else {begin}
    return [data[at : at + _SAMPLE_BYTES] for at in sorted(begins)]
