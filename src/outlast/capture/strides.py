"""The order in which an array's axes lie in memory. Sums depend on it to the last bit, so a new array keeps it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from outlast.errors import DamageError
from outlast.format.model import Node


def order_of(shape: Sequence[int], strides: Sequence[int], item: int) -> list[int] | None:
    """Return the axes from the longest stride to the shortest; None for C order, and for what has holes or overlaps.

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
        if shape[axis] > 1 and strides[axis] != step:
            return None
        step *= shape[axis]
    return axes


def strides_of(shape: Sequence[int], node: Node) -> list[int]:
    """Return the strides, in items, that an array of this shape and of the node's order has.

    Raises:
        DamageError: the order is none of this shape's axes.
    """
    axes = node.get("order", list(range(len(shape))))
    are_numbers = isinstance(axes, (list, tuple)) and all(type(axis) is int for axis in axes)
    if not are_numbers or sorted(axes) != list(range(len(shape))):
        raise DamageError(f"the order {str(axes)[:80]} is none of the axes of the shape {list(shape)[:80]}")
    strides, step = [0] * len(shape), 1
    for axis in reversed(axes):
        strides[axis] = step
        step *= shape[axis]
    return strides
