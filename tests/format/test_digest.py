"""Digests: S-08 (which one), S-35 (which bytes each covers)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.format.digest import BLAKE3, KNOWN, Running, are_digests, chunk_digests, hexdigest, is_digest


def test_it_is_xxh3_128_in_canonical_form_s08():
    """From the reference implementation: the digest of nothing, seed 0."""
    assert hexdigest(b"") == "99aa06d3014798d86001c324468d497f"


def test_blake3_is_the_plain_one_of_32_bytes_s28():
    """From the test vectors of its authors: the digests of no byte and of the byte 0."""
    assert hexdigest(b"", BLAKE3) == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    assert hexdigest(b"\0", BLAKE3) == "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"


@pytest.mark.parametrize("kind", sorted(KNOWN))
def test_pieces_give_the_digest_of_the_whole(kind):
    data = bytes(range(256)) * 40
    running = Running(kind)
    for at in range(0, len(data), 700):
        running.add(memoryview(data)[at : at + 700])
    assert running.hexdigest() == hexdigest(data, kind) == chunk_digests(memoryview(data), len(data), kind)[0]
    assert is_digest(hexdigest(data, kind), kind)


@given(st.binary(max_size=50), st.integers(1, 20))
def test_chunks_cover_every_byte_once_s35(data, size):
    expected = tuple(hexdigest(data[at : at + size]) for at in range(0, len(data), size))
    assert chunk_digests(memoryview(data), size) == expected
    assert len(expected) == -(-len(data) // size)


def test_chunks_are_of_bytes_whatever_the_view_s35():
    data = memoryview(bytes(range(16)))
    assert chunk_digests(data.cast("d"), 5) == chunk_digests(data, 5)
    assert chunk_digests(data.cast("B", (4, 4)), 5) == chunk_digests(data, 5)
    assert chunk_digests(memoryview(b"").cast("d"), 5) == ()


@pytest.mark.parametrize("text", ["", "0" * 31, "0" * 33, "A" * 32, "0" * 31 + "\n", "g" * 32, "\u0660" * 32, 7, None])
def test_only_32_lower_case_hex_digits_are_a_digest_s08(text):
    assert not is_digest(text)
    if isinstance(text, str):
        assert not are_digests(["0" * 32, text])


@given(st.lists(st.sampled_from(["0" * 32, "ab" * 16, "", " ", "0", "0" * 32 + " " + "0" * 32, "A" * 32]), max_size=5))
def test_looking_at_many_is_looking_at_each(texts):
    assert are_digests(texts) == all(map(is_digest, texts))


@pytest.mark.parametrize("at", [0, 1, 4095, 4096, 70_000, (1 << 20) - 1])
def test_a_change_anywhere_changes_it(at):
    data = bytearray(1 << 20)
    before = hexdigest(data)
    data[at] ^= 1
    assert hexdigest(data) != before
    assert hexdigest(bytes(data[:-1])) not in (before, hexdigest(data))
