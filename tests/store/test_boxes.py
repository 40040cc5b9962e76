"""Boxes of an array: what two have in common is copied as NumPy would, and any box of a stored array can be read."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import outlast
from outlast.errors import DamageError
from outlast.format.model import Box, LeafBytes
from outlast.store import Draft, PartWriter
from outlast.store.boxes import copy_common, meets
from storekit import Attempt

SHAPES = st.lists(st.integers(1, 5), min_size=0, max_size=4)


@st.composite
def pairs(draw) -> tuple[tuple[int, ...], Box, Box]:
    shape = draw(SHAPES)

    def box() -> Box:
        sides = [sorted((draw(st.integers(0, full)), draw(st.integers(0, full)))) for full in shape]
        return Box("x", tuple(low for low, _ in sides), tuple(high - low for low, high in sides))

    return tuple(shape), box(), box()


def part(array: np.ndarray, box: Box) -> np.ndarray:
    sides = (slice(low, low + size) for low, size in zip(box.offset, box.shape, strict=True))
    return array[(..., *sides)]


@given(pairs())
def test_what_two_boxes_have_in_common(case) -> None:
    shape, one, other = case
    array = np.arange(math.prod(shape), dtype=np.uint16).reshape(shape)
    source, target = part(array, one).copy(), np.full(other.shape, 0xFFFF, np.uint16)
    expected = np.full(shape, 0xFFFF, np.uint16)
    part(expected, one)[...] = part(array, one)
    is_met = bool((part(expected, other) != 0xFFFF).any())
    assert meets(one, other) is is_met
    if is_met:
        raw = bytearray(target.tobytes())
        copy_common(memoryview(source.tobytes()), one, memoryview(raw), other, 2)
        target = np.frombuffer(raw, np.uint16).reshape(other.shape)
    assert (target == part(expected, other)).all()


def saved(path: Path, boxes: list[Box], array: np.ndarray) -> None:
    """Save an array by as many ranks as there are boxes."""
    attempt = Attempt.begin(path)
    name = attempt.writer.begin(1)
    draft = Draft(step=1, tree={"x": {"$": "array", "leaf": "x"}}, leaves=())
    shares = []
    for rank, box in enumerate(boxes):
        held = np.ascontiguousarray(part(array, box))
        leaf = LeafBytes(
            path="x",
            dtype="float32",
            shape=box.shape,
            data=memoryview(held.tobytes()),
            global_shape=array.shape,
            offset=box.offset,
        )
        writer = PartWriter(attempt.store.backend, attempt.store.clock, digest="xxh3-128", rank=rank)
        shares.append(writer.write(name, Draft(step=1, tree={}, leaves=[leaf])))
    attempt.writer.publish(name, draft, shares, 0.0)
    attempt.lease.end("done")


ARRAY = np.arange(7 * 6, dtype=np.float32).reshape(7, 6)
QUARTERS = [Box("x", (0, 0), (4, 2)), Box("x", (0, 2), (4, 4)), Box("x", (4, 0), (3, 2)), Box("x", (4, 2), (3, 4))]


def test_any_box_of_an_array_that_four_ranks_saved(tmp_path: Path) -> None:
    saved(tmp_path / "s", QUARTERS, ARRAY)
    store = outlast.Store(tmp_path / "s")
    assert store.newest().ranks == 4
    assert (store.load("x") == ARRAY).all()
    with store.source(store.newest()) as source:
        for box in [*QUARTERS, Box("x", (3, 1), (2, 3)), Box("x", (6, 0), (1, 6)), Box("x", (0, 0), (0, 6))]:
            view = bytearray(math.prod(box.shape) * 4)
            source.fill([(box, memoryview(view))])
            assert view == part(ARRAY, box).tobytes(), box


def test_damage_in_one_box_is_damage_of_what_it_has_a_part_in(tmp_path: Path) -> None:
    saved(tmp_path / "s", QUARTERS, ARRAY)
    store = outlast.Store(tmp_path / "s")
    file = tmp_path / "s" / store.checkpoints()[0].format() / "part-00003.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with store.source(store.newest()) as source:
        view = memoryview(bytearray(4 * 4 * 3))
        source.fill([(Box("x", (0, 0), (4, 3)), view)])
        with pytest.raises(DamageError, match="part-00003"):
            source.fill([(Box("x", (3, 1), (4, 3)), view)])
