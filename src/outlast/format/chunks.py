"""How the bytes of a leaf are cut: the one place that says how long the chunks of a state are."""

from __future__ import annotations

from outlast.format.rules import MAX_CHUNK_BYTES

CHUNK_BYTES = 1 << 20
_MAX_CHUNKS = 1 << 17  # more than so many full chunks, and they are made larger: the manifest has a digest of each


def chunk_bytes_of(state_bytes: int) -> int:
    """Return how long the chunks of a state are: a power of two, so that its manifest stays readable (S-14)."""
    least = max(CHUNK_BYTES, -(-state_bytes // _MAX_CHUNKS))
    return min(1 << (least - 1).bit_length(), MAX_CHUNK_BYTES)
