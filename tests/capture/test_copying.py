"""Copying ranges of memory with several threads: every byte arrives, and "the same" is said of equal bytes only."""

from __future__ import annotations

import numpy as np
import pytest

from outlast.capture import copying
from outlast.capture.copying import LARGE_BYTES, PIECE_BYTES, Copying, Ranges, by_chunk, difference, pieces_of

SIZES = (0, 1, 7, 8, 63, 64, 65, LARGE_BYTES, LARGE_BYTES + 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 3)
SIZES += (9 * PIECE_BYTES + 5, 20 * PIECE_BYTES)


def address(array: np.ndarray) -> int:
    return array.ctypes.data


def noise(size: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size, np.uint8)


def prepared(to: list[np.ndarray], at: list[np.ndarray]) -> Copying:
    small, large = Ranges(), Ranges()
    for one, other in zip(to, at, strict=True):
        if one.size < LARGE_BYTES:
            small.add(address(one), address(other), one.size)
        else:
            large.cut(address(one), address(other), one.size)
    return Copying(small, large)


@pytest.mark.parametrize("compares", [False, True])
@pytest.mark.parametrize("alone", [False, True])
def test_every_byte_arrives_and_none_beside(compares: bool, alone: bool) -> None:
    at = [noise(size, seed) for seed, size in enumerate(SIZES)]
    framed = [np.full(size + 16, 0xA5, np.uint8) for size in SIZES]
    copies = prepared([one[8:-8] for one in framed], at)
    (copies.run_alone if alone else copies.run)(compares=compares)
    for one, other in zip(framed, at, strict=True):
        assert np.array_equal(one[8:-8], other)
        assert (one[:8] == 0xA5).all()
        assert (one[-8:] == 0xA5).all()


def test_many_small_ranges_arrive() -> None:
    at = [noise(40, seed) for seed in range(1000)]
    to = [np.zeros(40, np.uint8) for _ in at]
    prepared(to, at).run(compares=True)
    assert all(map(np.array_equal, to, at))


@pytest.mark.parametrize("where", [0, 63, 64, 4095, PIECE_BYTES - 1, PIECE_BYTES, 17 * PIECE_BYTES, -1])
def test_one_changed_bit_is_found_wherever_it_lies(where: int) -> None:
    at = noise(20 * PIECE_BYTES + 11)
    to = at.copy()
    at[where] ^= 0x80
    ranges = Ranges()
    ranges.cut(address(to), address(at), at.size)
    assert [i for i, flag in enumerate(difference(ranges)) if flag] == [where % at.size // PIECE_BYTES]
    copies = prepared([to], [at])
    copies.run(compares=True)
    assert [i for i, flag in enumerate(copies.differs) if flag] == [where % at.size // PIECE_BYTES]
    assert np.array_equal(to, at)
    copies.run(compares=True)
    assert not any(copies.differs)


def test_what_is_the_same_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    at = noise(4 * PIECE_BYTES)
    to = at.copy()
    at[2 * PIECE_BYTES + 100] ^= 1
    copied = []
    monkeypatch.setattr(copying, "_copy", lambda to, at, size: copied.append((to, size)))
    prepared([to], [at]).run(compares=True)
    assert copied == [(address(to) + 2 * PIECE_BYTES, PIECE_BYTES)]


def test_memory_is_the_same_as_itself() -> None:
    at = noise(PIECE_BYTES)
    ranges = Ranges()
    ranges.cut(address(at), address(at), at.size)
    assert difference(ranges) == b"\0"


def test_flags_of_pieces_become_flags_of_chunks() -> None:
    assert by_chunk(b"\0\0\1\0\0\1\1\1\0", 2 * PIECE_BYTES) == b"\0\1\1\1\0"
    assert by_chunk(b"\0\0\0\0\1", 4 * PIECE_BYTES) == b"\0\1"
    assert by_chunk(b"\1", 8 * PIECE_BYTES) == b"\1"
    assert [pieces_of(size) for size in (1, PIECE_BYTES, PIECE_BYTES + 1)] == [1, 1, 2]
