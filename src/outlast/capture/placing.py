"""Where the leaves of a state lie in a pool: worked out once for a layout, used again for as long as it stays."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from itertools import repeat
from operator import attrgetter, is_not
from typing import Any

from outlast.capture.copying import LARGE_BYTES, Copying, Ranges, by_chunk, difference, pieces_of
from outlast.capture.forking import Mappings, shared_among
from outlast.capture.pending import Pending
from outlast.capture.pool import Pool
from outlast.format.chunks import chunk_bytes_of
from outlast.format.model import LeafBytes

_Sized = tuple[str, int]  # a leaf's path and size in bytes
Layout = tuple[list[Any], ...]

_columns = (attrgetter("path"), attrgetter("dtype"), attrgetter("shape"), attrgetter("size_bytes"))
_owner = attrgetter("owner")
_address = attrgetter("address")


def layout_of(pending: Sequence[Pending]) -> Layout:
    """Return what must be the same for two snapshots to lie in the same places."""
    return tuple(list(map(column, pending)) for column in _columns)


class Placed:
    """The leaves of one layout in a pool.

    Args:
        pool: the memory. It is divided here.
        layout: of the leaves.
        pending: the leaves. Those whose memory nobody changes stay where they are.
    """

    def __init__(self, pool: Pool, layout: Layout, pending: Sequence[Pending]) -> None:
        self._layout = layout
        self._is_kept = _kept_of(pending)
        self.size_bytes = sum(leaf.size_bytes for leaf in pending)
        sizes = [0 if kept else leaf.size_bytes for leaf, kept in zip(pending, self._is_kept, strict=True)]
        self._views = pool.divide(sizes)
        self._to = pool.places(sizes)
        self._leaves = tuple(map(leaf_bytes, pending, self._views))
        self._at: list[int | None] = []
        self._sorted: list[tuple[int, int]] = []
        self._apart: frozenset[int] = frozenset()
        self._copying: Copying | None = None
        self._compared: list[_Sized] = []
        self._kept: dict[str, Pending] = {}

    def fits(self, layout: Layout, pending: Sequence[Pending]) -> bool:
        """Whether a state lies in the same places."""
        return layout == self._layout and self._is_kept == _kept_of(pending)

    def copying(self, pending: Sequence[Pending], mappings: Mappings | None = None) -> Copying:
        """Return the copy of all that has an address: the one before, if everything lives where it lived.

        Args:
            pending: the leaves.
            mappings: of this process, where a forked child shall copy: what lies in shared memory is left out.
        """
        at = list(map(_address, pending))
        if at != self._at:
            known = [(address, index) for index, address in enumerate(at) if address is not None]
            self._at, self._sorted, self._copying = at, sorted(known), None
        apart = shared_among(self._sorted, mappings) if mappings else frozenset()
        if self._copying is None or apart != self._apart:
            self._apart = apart
            self._copying = self._prepared(pending)
        return self._copying

    def _prepared(self, pending: Sequence[Pending]) -> Copying:
        small, large = Ranges(), Ranges()
        self._compared = []
        for index, (leaf, to, is_kept) in enumerate(zip(pending, self._to, self._is_kept, strict=True)):
            if leaf.address is None or is_kept or index in self._apart:
                continue
            if leaf.size_bytes >= LARGE_BYTES:
                large.cut(to, leaf.address, leaf.size_bytes)
                self._compared.append((leaf.path, leaf.size_bytes))
            else:
                small.add(to, leaf.address, leaf.size_bytes)
        return Copying(small, large)

    def copy_others(self, pending: Sequence[Pending]) -> None:
        """Copy, one by one, what has no address, or one that a forked child does not copy from."""
        if self._apart or None in self._at:
            for index, (leaf, view, is_kept) in enumerate(zip(pending, self._views, self._is_kept, strict=True)):
                if not is_kept and (leaf.address is None or index in self._apart):
                    leaf.copy(view)

    def changed(self, differs: bytes | bytearray | memoryview) -> dict[str, bytes]:
        """Return by path what differs, a byte a chunk, after the copy compared."""
        return _by_path(self._compared, differs, chunk_bytes_of(self.size_bytes))

    def keep(self, pending: Sequence[Pending]) -> tuple[tuple[LeafBytes, ...], dict[str, bytes]]:
        """Return all leaves, also those that stay where they are, and what differs in these since the last time."""
        if not any(self._is_kept):
            return self._leaves, {}
        before, self._kept = self._kept, {leaf.path: leaf for leaf in pending if _is_kept(leaf)}
        known = [leaf for leaf in self._kept.values() if leaf.path in before and leaf.size_bytes >= LARGE_BYTES]
        ranges = Ranges()
        for leaf in known:
            ranges.cut(_at(before[leaf.path]), _at(leaf), leaf.size_bytes)
        sized = [(leaf.path, leaf.size_bytes) for leaf in known]
        leaves = tuple(
            leaf_bytes(leaf, in_place(leaf)) if kept else own
            for leaf, kept, own in zip(pending, self._is_kept, self._leaves, strict=True)
        )
        return leaves, _by_path(sized, difference(ranges), chunk_bytes_of(self.size_bytes))


def _kept_of(pending: Sequence[Pending]) -> list[bool]:
    owned = list(map(is_not, map(_owner, pending), repeat(None)))  # a few lists at once: it is done at each snapshot
    return list(map(_is_kept, pending)) if any(owned) else owned


def _is_kept(leaf: Pending) -> bool:
    return leaf.owner is not None and leaf.address is not None


def _at(leaf: Pending) -> int:
    assert leaf.address is not None, f"{leaf.path} is to be kept where it is, and has no address"
    return leaf.address


def in_place(leaf: Pending) -> memoryview:
    """Return a view of a leaf where it lies."""
    if not leaf.size_bytes:
        return memoryview(b"")
    memory: Any = (ctypes.c_char * leaf.size_bytes).from_address(_at(leaf))
    memory.owner = leaf.owner  # as long as a view lives, so does what it shows
    return memoryview(memory).cast("B").toreadonly()


def leaf_bytes(leaf: Pending, data: memoryview) -> LeafBytes:
    """Return a leaf with its bytes."""
    shape, offset = leaf.within or (None, None)
    return LeafBytes(path=leaf.path, dtype=leaf.dtype, shape=leaf.shape, data=data, global_shape=shape, offset=offset)


def _by_path(leaves: Iterable[_Sized], differs: bytes | bytearray | memoryview, chunk_bytes: int) -> dict[str, bytes]:
    """Return the flags of each leaf's chunks from those of all pieces, one leaf behind the other."""
    flags, begin = {}, 0
    for path, size_bytes in leaves:
        end = begin + pieces_of(size_bytes)
        flags[path] = by_chunk(bytes(differs[begin:end]), chunk_bytes)
        begin = end
    return flags
