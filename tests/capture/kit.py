"""Helpers of the capture tests: a source over a snapshot, a round trip through JSON, and a bit-exact oracle."""

from __future__ import annotations

import json
import math
import struct
from collections import OrderedDict, defaultdict, deque
from collections.abc import Collection, Mapping, MutableMapping
from typing import Any

import numpy as np

from outlast.capture import Outline, Pool, Report, Snapshot, restore, snapshot
from outlast.format.model import Leaf


class DictSource:
    """Leaf bytes kept from a snapshot. `read` names what was asked for, in order."""

    def __init__(self, taken: Snapshot) -> None:
        self.held = {leaf.path: bytes(leaf.data) for leaf in taken.leaves}
        self.read: list[str] = []

    def read_into(self, path: str, view: memoryview) -> None:
        assert view.format == "B"
        assert not view.readonly
        assert view.nbytes == len(self.held[path])
        self.read.append(path)
        view[:] = self.held[path]


def leaves_of(taken: Snapshot) -> dict[str, Leaf]:
    """Return the leaves as a manifest would list them; equal bytes have equal chunk digests."""
    return {
        leaf.path: Leaf(
            path=leaf.path,
            dtype=leaf.dtype,
            shape=leaf.shape,
            size_bytes=leaf.data.nbytes,
            extents=(),
            chunks=(bytes(leaf.data).hex(),),
        )
        for leaf in taken.leaves
    }


class Saved:
    """A state as saved: what a checkpoint would hold of it, after a trip through JSON."""

    def __init__(self, state: Mapping[str, Any], began: Outline | None = None) -> None:
        taken = snapshot(state, Pool(), began)
        self.tree = json.loads(json.dumps(taken.tree, allow_nan=False))
        self.leaves = leaves_of(taken)
        self.source = DictSource(taken)

    def into(self, live: MutableMapping[str, Any], allow: Collection[str] = ()) -> Report:
        return restore(live, self.tree, self.leaves, self.source, allow=allow)


def roundtrip(saved: Mapping[str, Any], live: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Save one state and restore it into another; return the latter."""
    Saved(saved).into(live)
    return live


def identical(one: Any, other: Any) -> bool:
    """Whether two values are equal to the bit, types included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (np.ndarray, np.generic)):
        return _arrays(np.asarray(one), np.asarray(other))
    if isinstance(one, float):
        return struct.pack("d", one) == struct.pack("d", other)
    if isinstance(one, complex):
        return identical(one.real, other.real) and identical(one.imag, other.imag)
    if isinstance(one, dict):
        return _dicts(one, other)
    if isinstance(one, (list, tuple, deque)):
        limits = getattr(one, "maxlen", None) == getattr(other, "maxlen", None)
        return limits and len(one) == len(other) and all(map(identical, one, other))
    if isinstance(one, (set, frozenset)):
        return len(one) == len(other) and all(any(identical(a, b) for b in other) for a in one)
    return bool(one == other) and getattr(one, "fold", 0) == getattr(other, "fold", 0)


def _arrays(one: np.ndarray, other: np.ndarray) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def _dicts(one: dict, other: dict) -> bool:
    same_factory = not isinstance(one, defaultdict) or one.default_factory is other.default_factory
    assert not isinstance(one, OrderedDict) or list(one.items()) is not None
    return (
        same_factory
        and len(one) == len(other)
        and all(identical(a, b) for a, b in zip(one, other, strict=True))
        and all(identical(a, b) for a, b in zip(one.values(), other.values(), strict=True))
    )


def nan_with_payload() -> float:
    value = struct.unpack("<d", struct.pack("<Q", 0x7FF8_0000_DEAD_BEEF))[0]
    assert math.isnan(value)
    return value
