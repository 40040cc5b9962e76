"""Digests of bytes: XXH3-128 as 32 hex digits, one for each chunk of a leaf."""

from __future__ import annotations

import re
from collections.abc import Sequence

import xxhash

NAME = "xxh3-128"
HEX_CHARS = 32
_ONE = re.compile(r"[0-9a-f]{32}")
_MANY = re.compile(r"(?:[0-9a-f]{32} )*")


def hexdigest(data: bytes | bytearray | memoryview) -> str:
    """Return the digest of `data`."""
    return str(xxhash.xxh3_128_hexdigest(data))


def chunk_digests(data: memoryview, chunk_bytes: int) -> tuple[str, ...]:
    """Return the digest of each chunk of `data`, which is contiguous; none for no bytes."""
    if not data.nbytes:
        return ()
    view = data.cast("B")
    return tuple(hexdigest(view[at : at + chunk_bytes]) for at in range(0, data.nbytes, chunk_bytes))


def is_digest(text: object) -> bool:
    """Say whether `text` has the form of a digest."""
    return isinstance(text, str) and _ONE.fullmatch(text) is not None


def are_digests(texts: Sequence[str]) -> bool:
    """Say whether all have that form: one look at many, since a checkpoint has up to millions."""
    joined = " ".join([*texts, ""])
    return len(joined) == len(texts) * (HEX_CHARS + 1) and _MANY.fullmatch(joined) is not None
