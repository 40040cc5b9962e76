"""A large part while it is written: compressed leaves, whose lengths nobody knows before, the others, then the header.

The header's place is kept free at the longest that it may become. Compressed chunks go out in waves, so that no more
than one wave is held in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from outlast.backends.base import Buffer
from outlast.backends.crew import each
from outlast.backends.writing import BLOCK_BYTES, Effort, Sink
from outlast.format.codecs import Compressor
from outlast.format.model import LeafBytes
from outlast.store.digests import Digests
from outlast.store.packing import Entry, Fresh, header

_WAVE_BYTES = 64 << 20  # of leaves


class Filling:
    """Writes what is new of a state into a sink; again if the file is condemned.

    Args:
        leaves: the state.
        fresh: what of them goes into the part.
        widths: by number, how the bytes of those leaves are regrouped that are compressed.
        digests: of the chunks, taken on the way and before anything else is done to them.
        metadata: of the part.
        effort: threads, and their priority.

    Attributes:
        head: the header, as it was written.
        entries: where in the file everything is.
        sizes: by number, the stored length of each new chunk of those that are compressed.
    """

    def __init__(
        self,
        leaves: Sequence[LeafBytes],
        fresh: Sequence[Fresh],
        widths: Mapping[int, int],
        digests: Digests,
        *,
        metadata: Mapping[str, str],
        effort: Effort,
    ) -> None:
        self._leaves, self._widths, self._digests = leaves, widths, digests
        self._metadata, self._effort = metadata, effort
        self._packed = [one for one in fresh if one.number in widths]
        self._plain = [one for one in fresh if one.number not in widths]
        self._most_bytes = [one.end - one.begin + BLOCK_BYTES for one in self._packed]
        self.head, self.entries = self._header(self._most_bytes, BLOCK_BYTES)
        self._compressors: list[Compressor] = []
        self._is_placed = False
        self.sizes: dict[int, dict[int, int]] = {}

    @property
    def bound_bytes(self) -> int:
        """Return what the file will have; 0 if nobody knows."""
        return 0 if self._packed else len(self.head) + sum(one.end - one.begin for one in self._plain)

    def fill(self, sink: Sink) -> int:
        """Write all; return the file's size."""
        end = len(self.head)
        if self._packed:
            stored, end = self._pack(sink, end)
            self.head, self.entries = self._header(stored, len(self.head))
        if not self._is_placed:
            self._digests.place(self.entries[len(self._packed) :])
            self._is_placed = True
        blocks = [self._leaves[one.number].data.cast("B")[one.begin : one.end] for one in self._plain]
        end = sink.write(end, blocks, self._digests.before)
        sink.write(0, [self.head])
        return end

    def _header(self, stored: Sequence[int], align: int) -> tuple[bytes, list[Entry]]:
        return header(self._leaves, [*self._packed, *self._plain], self._metadata, align, stored)

    def _pack(self, sink: Sink, at: int) -> tuple[list[int], int]:
        """Write the compressed leaves, from `at` on. Return how much is stored of each range, and the end.

        Zeros behind the last one, up to a block's end, belong to it.
        """
        self.sizes = {one.number: {} for one in self._packed}
        rest = b""
        for wave in self._waves():
            packed = self._packed_wave(wave)
            for (number, chunk), data in zip(wave, packed, strict=True):
                self.sizes[number][chunk] = len(data)
            whole, rest = _split([rest, *packed])
            at = sink.write(at, whole)
        zeros = -len(rest) % BLOCK_BYTES
        at = sink.write(at, [rest + bytes(zeros)])
        step = self._digests.chunk_bytes
        stored = [
            sum(self.sizes[one.number][chunk] for chunk in range(one.begin // step, -(-one.end // step)))
            for one in self._packed
        ]
        stored[-1] += zeros
        return stored, at

    def _waves(self) -> Iterator[list[tuple[int, int]]]:
        step = self._digests.chunk_bytes
        chunks = [
            (one.number, chunk) for one in self._packed for chunk in range(one.begin // step, -(-one.end // step))
        ]
        count = _WAVE_BYTES // step
        for first in range(0, len(chunks), count):
            yield chunks[first : first + count]

    def _packed_wave(self, wave: Sequence[tuple[int, int]]) -> list[Buffer]:
        packed: list[Buffer] = [b""] * len(wave)

        def work(place: int) -> None:
            number, chunk = wave[place]
            try:
                compressor = self._compressors.pop()  # one step of the interpreter, as `append` is
            except IndexError:
                compressor = Compressor()
            at = chunk * self._digests.chunk_bytes
            data = self._leaves[number].data.cast("B")[at : at + self._digests.chunk_bytes]
            self._digests.take(number, chunk)  # of what is to come back, before anything is done to it
            packed[place] = compressor.pack(data, self._widths[number])
            self._compressors.append(compressor)

        each(work, len(wave), self._effort.workers, nice=self._effort.nice)
        return packed


def _split(blocks: Sequence[Buffer]) -> tuple[list[Buffer], bytes]:
    """Return what fills whole blocks of the file, and the rest."""
    left = sum(map(len, blocks)) // BLOCK_BYTES * BLOCK_BYTES
    whole: list[Buffer] = []
    rest: list[Buffer] = []
    for block in blocks:
        whole.append(block[:left])
        rest.append(block[left:])
        left -= len(whole[-1])
    return whole, b"".join(rest)
