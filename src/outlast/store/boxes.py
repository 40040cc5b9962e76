"""Boxes of one array: which of them a range of the array lies in, and copying what two boxes have in common. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from outlast.format.dtypes import itemsize
from outlast.format.model import Box, Leaf


def box_of(leaf: Leaf) -> Box:
    """Return which box of its array a leaf is: all of it, if it stands whole."""
    return Box(leaf.path, leaf.offset if leaf.offset is not None else (0,) * len(leaf.shape), leaf.shape)


def joined(boxes: Sequence[Leaf]) -> Leaf:
    """Return the array that boxes make up, as a leaf. It lies nowhere in one piece."""
    first = boxes[0]
    shape = first.global_shape or ()
    size_bytes = math.prod(shape) * itemsize(first.dtype)
    return replace(
        first, shape=shape, size_bytes=size_bytes, extents=(), chunks=(), global_shape=None, offset=None, codec=None
    )


def meets(one: Box, other: Box) -> bool:
    """Say whether two boxes of an array have any item in common."""
    return all(low < high for low, high in _common(one, other)) and 0 not in one.shape and 0 not in other.shape


def copy_common(source: memoryview, of: Box, target: memoryview, to: Box, item_bytes: int) -> None:
    """Copy the items that two boxes have in common from the bytes of one to those of the other."""
    for begin, at, size_bytes in _runs(of, to, item_bytes):
        target[at : at + size_bytes] = source[begin : begin + size_bytes]


def _common(one: Box, other: Box) -> list[tuple[int, int]]:
    return [
        (max(low, other_low), min(low + size, other_low + other_size))
        for low, size, other_low, other_size in zip(one.offset, one.shape, other.offset, other.shape, strict=True)
    ]


def _runs(one: Box, other: Box, item_bytes: int) -> Iterator[tuple[int, int, int]]:
    """Yield, for each range of bytes that lies in one piece in both: where it begins in either, and its length."""
    common = _common(one, other)
    split = len(common)  # from here on the axes are whole in both
    while split and (common[split - 1][1] - common[split - 1][0] == one.shape[split - 1] == other.shape[split - 1]):
        split -= 1
    last = max(split - 1, 0)
    size_bytes = item_bytes * math.prod(high - low for low, high in common[last:])
    strides = [_strides(box.shape, item_bytes) for box in (one, other)]
    fixed = common[last : last + 1]
    for index in itertools.product(*(range(low, high) for low, high in common[:last])):
        at = [*index, *(low for low, _ in fixed)]
        begins = [
            sum((place - low) * stride for place, low, stride in zip(at, box.offset, steps, strict=False))
            for box, steps in zip((one, other), strides, strict=True)
        ]
        yield begins[0], begins[1], size_bytes


def _strides(shape: Sequence[int], item_bytes: int) -> list[int]:
    steps = list(itertools.accumulate(reversed(shape[1:]), int.__mul__, initial=item_bytes))
    return steps[::-1]
