"""A leaf between the walk that found it and the snapshot that copies it."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from outlast.capture.adapter import LeafAdapter, Within


class Pending(NamedTuple):
    """A leaf that has been described and not copied yet.

    `address`: where its bytes lie, if they lie in this process's memory in exactly the stored form; None otherwise, and
    then only `copy` gets them. Good for as long as nobody else runs: until the snapshot is complete.
    `owner`: who owns the memory at `address`, if nobody ever changes it: then it is kept and not copied.
    `far`: the adapter and the value, if that lies on a device, which copies all of a snapshot beside the program.
    `within`: the shape of the larger array that this is a box of, and where in it; None if it is whole.
    """

    path: str
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int
    copy: Callable[[memoryview], None]
    address: int | None = None
    owner: Any = None
    far: tuple[LeafAdapter, Any] | None = None
    within: Within | None = None


def standing_at(leaf: Pending, address: int) -> Pending:
    """Return the leaf whose bytes lie there. It holds no reference to its array."""
    return leaf._replace(copy=functools.partial(_copy, address, leaf.size_bytes), address=address)


def copied_by(leaf: Pending, adapter: LeafAdapter, value: Any) -> Pending:
    """Return the leaf whose bytes an adapter gets from a value."""
    far = (adapter, value) if leaf.address is None and adapter.is_far(value) else None
    return leaf._replace(copy=functools.partial(adapter.copy, value), far=far)


def gone(out: memoryview) -> None:
    """Stand for the copy of a leaf without its array."""
    raise AssertionError(f"no array is known for these {out.nbytes} bytes")


def _copy(address: int, size_bytes: int, out: memoryview) -> None:
    if out.nbytes != size_bytes:
        raise AssertionError(f"a place of {out.nbytes} bytes for a leaf of {size_bytes}")
    ctypes.memmove(ctypes.addressof(ctypes.c_char.from_buffer(out)), address, size_bytes)
