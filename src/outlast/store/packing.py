"""Which bytes of a state go into a checkpoint's own part, and where; which an earlier part holds already. Pure.

The unit is the chunk. A leaf of which only some chunks are new stands in the part as ranges of bytes; the manifest puts
them and the older parts' ranges together again.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from outlast.format import safetensors
from outlast.format.codecs import ZSTD, chunk_lengths, stored_begins
from outlast.format.model import Codec, Extent, Leaf, LeafBytes, Part

SHARED_FROM_BYTES = 64 << 10  # smaller leaves are written anew: one contiguous range is worth more
_MOST_RANGES = 1 << 12  # of one leaf: more, and it is written whole, for each range is a line in two tables

Key = tuple[str, tuple[int, ...] | None]  # a leaf's path, and the offset of a box


@dataclass(frozen=True, slots=True)
class Written:
    """A leaf that this process wrote, whose bytes a later checkpoint may name."""

    leaf: Leaf
    parts: tuple[Part, ...]  # of each extent


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Consecutive chunks of a leaf.

    Args:
        begin: the first byte, end: the one after the last.
        old: the earlier leaf that has them; None: they are new.
    """

    begin: int
    end: int
    old: Written | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A range of a leaf that goes into the part.

    Args:
        number: which leaf.
        begin: the first of its bytes, end: the one after the last.
        at: where in the file.
        stored_bytes: how many bytes are stored of it.
    """

    number: int
    begin: int
    end: int
    at: int
    stored_bytes: int


class Fresh(NamedTuple):
    """Consecutive chunks of leaf `number` that go into the part."""

    number: int
    begin: int
    end: int


def fresh(cut: Sequence[tuple[Range, ...]]) -> list[Fresh]:
    """Return what goes into the part, in the leaves' order."""
    return [Fresh(number, one.begin, one.end) for number, found in enumerate(cut) for one in found if one.old is None]


def ranges(
    leaf: LeafBytes,
    old: Written | None,
    same: Callable[[Written], bytes | None],
    young: Callable[[Part], bool],
    chunk_bytes: int,
) -> tuple[Range, ...]:
    """Cut a leaf into what is new and what an earlier part holds.

    Args:
        leaf: it.
        old: how it was written last, if it was.
        same: says of each chunk whether it is as it was then (1) or not (0); None: nothing is known to be.
        young: says of a part whether one more checkpoint may lean on it.
        chunk_bytes: how long the chunks are.
    """
    size_bytes = leaf.data.nbytes
    whole = (Range(begin=0, end=size_bytes, old=None),)
    if old is None or size_bytes < SHARED_FROM_BYTES or (old.leaf.dtype, old.leaf.shape) != (leaf.dtype, leaf.shape):
        return whole
    if not any(map(young, old.parts)):
        return whole
    kept = same(old)
    if kept is None or 1 not in kept:
        return whole
    found = tuple(_merged(_leant(kept, old, young, chunk_bytes), old, chunk_bytes, size_bytes))
    return found if len(found) <= _MOST_RANGES else whole


def _leant(kept: bytes, old: Written, young: Callable[[Part], bool], chunk_bytes: int) -> bytearray:
    """Of the chunks that are the same, drop those that lie in a part that has been leant on often enough."""
    flags = bytearray(kept)
    begins = stored_begins(old.leaf)
    begin = 0
    for extent, part in zip(old.leaf.extents, old.parts, strict=True):
        end = begin + extent.size_bytes
        if not young(part):
            first, last = begin // chunk_bytes, -(-end // chunk_bytes)
            if begins is not None:
                first, last = bisect.bisect_right(begins, begin) - 1, bisect.bisect_left(begins, end)
            flags[first:last] = bytes(last - first)
        begin = end
    return flags


def _merged(flags: bytearray, old: Written, chunk_bytes: int, size_bytes: int) -> Iterator[Range]:
    first = 0
    while first < len(flags):
        is_kept = flags[first]
        last = flags.find(1 - is_kept, first)
        last = len(flags) if last < 0 else last
        end = min(last * chunk_bytes, size_bytes)
        yield Range(begin=first * chunk_bytes, end=end, old=old if is_kept else None)
        first = last


def header(
    leaves: Sequence[LeafBytes],
    found: Sequence[Fresh],
    metadata: Mapping[str, str],
    align: int,
    stored: Sequence[int] = (),
) -> tuple[bytes, list[Entry]]:
    """Return the part's header and what goes into it, in the file's order.

    A leaf that is written whole stands under its name, with its dtype and shape; what is compressed, and a range of
    one, as bytes.

    Args:
        leaves: the state.
        found: what goes into the part.
        metadata: of the file.
        align: the header's length is a multiple of this.
        stored: the stored lengths of the first ones of `found`, which are compressed.

    Raises:
        CaptureError: too many leaves for one file.
    """
    rows = [_packed_row(leaves[one.number], one, size) for one, size in zip(found, stored, strict=False)]
    rows += [_row(leaves[one.number], one) for one in found[len(rows) :]]
    data, at = safetensors.header(rows, metadata, align)
    return data, [
        Entry(number=one.number, begin=one.begin, end=one.end, at=place, stored_bytes=row[3])
        for one, place, row in zip(found, at, rows, strict=True)
    ]


def _row(leaf: LeafBytes, one: Fresh) -> tuple[str, str, tuple[int, ...], int]:
    if one.end - one.begin == leaf.data.nbytes:
        return safetensors_name(leaf), leaf.dtype, leaf.shape, leaf.data.nbytes
    return _packed_row(leaf, one, one.end - one.begin)


def _packed_row(leaf: LeafBytes, one: Fresh, stored_bytes: int) -> tuple[str, str, tuple[int, ...], int]:
    name = safetensors_name(leaf)
    if one.end - one.begin != leaf.data.nbytes:
        name = f"{name}[{one.begin}:{one.end}]"
    return name, "bytes", (stored_bytes,), stored_bytes


def safetensors_name(leaf: LeafBytes) -> str:
    """Return the leaf's name in its part: its path, with the offset behind it for a box."""
    return leaf.path if leaf.offset is None else f"{leaf.path}@{','.join(map(str, leaf.offset))}"


def codec(cut: tuple[Range, ...], width: int | None, new: Mapping[int, int], chunk_bytes: int) -> Codec | None:
    """Return how the chunks of a leaf are stored, of which some may be in earlier parts.

    Args:
        cut: the leaf.
        width: how its bytes are regrouped where they are compressed now.
        new: the stored lengths of new chunks; of those that it lacks, their own.
        chunk_bytes: how long chunks are.
    """
    old = codec_before(cut)
    if old is not None:
        name, width = old.name, old.width
    elif width is not None:
        name = ZSTD
    else:
        return None
    sizes: list[int] = []
    for one in cut:
        first, last = one.begin // chunk_bytes, -(-one.end // chunk_bytes)
        if one.old and one.old.leaf.codec:
            sizes.extend(one.old.leaf.codec.sizes[first:last])
        else:
            lengths = chunk_lengths(one.end - one.begin, chunk_bytes, last - first)
            sizes.extend(new.get(number, length) for number, length in enumerate(lengths, first))
    return Codec(name=name, width=width, sizes=tuple(sizes))


def codec_before(cut: tuple[Range, ...]) -> Codec | None:
    """Return the codec of the earlier leaf that has some of the chunks: what is new is stored likewise."""
    return next((one.old.leaf.codec for one in cut if one.old), None)


class Table:
    """The parts of a manifest in the making, and the extents that point into them.

    Args:
        own: this checkpoint's part.
        entries: what is in it, in any order.
        chunk_bytes: how long chunks are.
    """

    def __init__(self, own: Part | None, entries: Sequence[Entry], chunk_bytes: int) -> None:
        self._chunk_bytes = chunk_bytes
        self._own = {(entry.number, entry.begin): entry for entry in entries}
        self.parts: list[Part] = [own] if own else []
        self._index = {own.path: 0} if own else {}

    def extents(self, number: int, cut: tuple[Range, ...], new: Mapping[int, int] | None) -> tuple[Extent, ...]:
        """Return where what is stored of leaf `number` lies. `new`: the lengths of its compressed chunks."""
        found: list[Extent] = []
        old = next((one.old for one in cut if one.old), None)
        begins = stored_begins(old.leaf) if old else None
        for one in cut:
            if one.old:
                pieces = self._older(one.old, *self._stored(one, begins))
            else:
                pieces = [_own(self._own[number, one.begin], self._new_bytes(one, new))]
            for piece in pieces:
                if piece.size_bytes:
                    _append(found, piece)
        return tuple(found)

    def _stored(self, one: Range, begins: Sequence[int] | None) -> tuple[int, int]:
        """Return which of the earlier leaf's stored bytes a range of its chunks is."""
        if begins is None:
            return one.begin, one.end
        return begins[one.begin // self._chunk_bytes], begins[-(-one.end // self._chunk_bytes)]

    def _new_bytes(self, one: Range, new: Mapping[int, int] | None) -> int:
        if not new:
            return one.end - one.begin
        return sum(new[chunk] for chunk in range(one.begin // self._chunk_bytes, -(-one.end // self._chunk_bytes)))

    def _older(self, old: Written, begin: int, end: int) -> list[Extent]:
        found = []
        starts = _starts(old.leaf.extents)
        number = bisect.bisect_right(starts, begin) - 1
        while number < len(starts) and starts[number] < end:
            extent, start = old.leaf.extents[number], starts[number]
            first, last = max(begin, start), min(end, start + extent.size_bytes)
            part = self._number(old.parts[number])
            found.append(Extent(part=part, at=extent.at + first - start, size_bytes=last - first))
            number += 1
        return found

    def _number(self, part: Part) -> int:
        if part.path not in self._index:
            self._index[part.path] = len(self.parts)
            self.parts.append(part)
        return self._index[part.path]


def _own(entry: Entry, size_bytes: int) -> Extent:
    return Extent(part=0, at=entry.at, size_bytes=size_bytes)


def _starts(extents: Sequence[Extent]) -> list[int]:
    """Return at which of the leaf's bytes each extent begins."""
    starts, at = [], 0
    for extent in extents:
        starts.append(at)
        at += extent.size_bytes
    return starts


def _append(extents: list[Extent], extent: Extent) -> None:
    """Add an extent; one that goes on where the last one ends makes that longer."""
    last = extents[-1] if extents else None
    if last and last.part == extent.part and last.at + last.size_bytes == extent.at:
        extents[-1] = Extent(part=last.part, at=last.at, size_bytes=last.size_bytes + extent.size_bytes)
    else:
        extents.append(extent)
