"""Lossless compression of a leaf's chunks: zstd, after the bytes of items were regrouped by their place in the item.

Chunks are compressed one by one, so that each can be shared and checked alone. What does not become smaller stays as it
is. The package `zstandard` is loaded by who needs it.
"""

from __future__ import annotations

import functools
import itertools
import sys
from collections.abc import Sequence
from typing import Any

from outlast.errors import DamageError
from outlast.format.model import Leaf

ZSTD = "zstd"
WIDTHS = (1, 2, 4, 8, 16)
MAX_CHUNK_BYTES = 1 << 24  # of what is compressed: a reader holds a chunk twice
MAX_RATIO = 1 << 15  # 128 KiB, a block of zstd, from no less than 4 bytes
_LEVEL = 1


@functools.cache
def _zstandard() -> Any:
    import zstandard

    return zstandard


def has_zstd() -> bool:
    """Say whether leaves can be compressed, and read, here."""
    try:
        _zstandard()
    except ImportError:
        return False
    return True


class Compressor:
    """Compresses chunks; one thread's at a time."""

    def __init__(self) -> None:
        self._zstd = _zstandard().ZstdCompressor(level=_LEVEL)

    def pack(self, chunk: memoryview, width: int) -> bytes | memoryview:
        """Return what is stored of a chunk: itself, if it does not become smaller."""
        packed = bytes(self._zstd.compress(_regrouped(chunk, width)))
        return packed if len(packed) < len(chunk) <= len(packed) * MAX_RATIO else chunk


class Decompressor:
    """Gives chunks back; one thread's at a time."""

    def __init__(self) -> None:
        library = _zstandard()
        self._zstd = library.ZstdDecompressor(max_window_size=MAX_CHUNK_BYTES)
        self._header, self._error = library.get_frame_parameters, library.ZstdError

    def unpack(self, stored: memoryview, chunk: memoryview, width: int) -> None:
        """Fill `chunk` with what was stored as `stored`. It takes no more memory than the chunk does.

        Raises:
            DamageError: it is no single frame of just these bytes. Whether it is the right one only its digest tells.
        """
        if len(stored) == len(chunk):
            chunk[:] = stored
            return
        try:
            told = self._header(stored)
            if told.content_size != len(chunk) or told.dict_id:
                raise DamageError(f"a frame of {told.content_size} bytes, expected {len(chunk)}")
            raw = self._zstd.decompress(stored, allow_extra_data=False)
        except self._error as e:
            raise DamageError(f"it cannot be decompressed: {str(e)[:100]}") from None
        _give_back(raw, chunk, width)


def stored_begins(leaf: Leaf) -> list[int] | None:
    """Return where each chunk begins in what is stored of a leaf, and the end; None if it is stored as it is."""
    return None if leaf.codec is None else list(itertools.accumulate(leaf.codec.sizes, initial=0))


def chunk_lengths(size_bytes: int, chunk_bytes: int, count: int) -> Sequence[int]:
    """Return how long the chunks of so many bytes are, of which there are `count`, at least one."""
    return [chunk_bytes] * (count - 1) + [size_bytes - (count - 1) * chunk_bytes]


def _regrouped(chunk: memoryview, width: int) -> Any:
    """Return the first bytes of all items, then the second ones, and so on."""
    if width == 1:
        return chunk
    numpy = _numpy()
    if numpy is None:
        data = bytes(chunk)
        return b"".join([data[place::width] for place in range(width)])
    grouped = numpy.empty((width, len(chunk) // width), "u1")
    items = numpy.frombuffer(chunk, "u1").reshape(-1, width)
    for place in range(width):
        grouped[place] = items[:, place]
    return grouped


def _give_back(raw: bytes, chunk: memoryview, width: int) -> None:
    if width == 1:
        chunk[:] = raw
        return
    count = len(chunk) // width
    numpy = _numpy()
    if numpy is None:
        room = bytearray(len(chunk))
        for place in range(width):
            room[place::width] = raw[place * count : (place + 1) * count]
        chunk[:] = room
        return
    items = numpy.frombuffer(chunk, "u1").reshape(-1, width)
    grouped = numpy.frombuffer(raw, "u1").reshape(width, -1)
    for place in range(width):
        items[:, place] = grouped[place]


def _numpy() -> Any:
    """Return NumPy if the program has loaded it: it is no faster, but other threads can go on meanwhile."""
    numpy = sys.modules.get("numpy")
    return numpy if hasattr(numpy, "frombuffer") else None
