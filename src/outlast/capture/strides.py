"""The order in which an array's axes lie in memory. Sums depend on it to the last bit, so a new array keeps it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from outlast.format.model import Node


def order_of(shape: Sequence[int], strides: Sequence[int], item: int) -> list[int] | None:
    """Return the axes from the longest stride to the shortest; None for C order, and for what overlaps.

    Args:
        shape: the array's.
        strides: its steps, in some unit.
        item: an item's size in that unit.
    """
    axes = sorted(range(len(shape)), key=lambda axis: -strides[axis])
    if axes == list(range(len(shape))) or not math.prod(shape):
        return None
    step = item
    for axis in reversed(axes):
        if shape[axis] > 1:
            if strides[axis] < step:
                return None
            step = strides[axis] * shape[axis]  # more than the elements take, in a view with holes
    return axes


def strides_of(shape: Sequence[int], node: Node) -> list[int]:
    """Return the strides, in items, that an array of this shape has in the node's order."""
    strides, step = [0] * len(shape), 1
    for axis in reversed(node.get("order", range(len(shape)))):
        strides[axis] = step
        step *= shape[axis]
    return strides
