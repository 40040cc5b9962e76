"""Memory that nobody changes stands in the snapshot itself, and is compared with what stood there before."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np
import pytest

from outlast.backends.memory import address_of
from outlast.capture import LeafAdapter, LeafSpec, Pool, Target, snapshot
from outlast.capture.registry import REGISTRY
from outlast.format.chunks import CHUNK_BYTES
from outlast.format.model import Node


class Frozen:
    """An array that is never written to; its memory may lie in another object."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array


class _FrozenAdapter(LeafAdapter):
    kind = "array"
    exact_types = (Frozen,)

    def describe(self, value: Frozen) -> LeafSpec:
        return LeafSpec(dtype="float64", shape=value.array.shape, size_bytes=value.array.nbytes)

    def identity(self, value: Frozen) -> Hashable | None:
        return id(value)

    def copy(self, value: Frozen, out: memoryview) -> None:
        out[:] = value.array.tobytes()

    def address(self, value: Frozen) -> int | None:
        return value.array.ctypes.data

    def owner(self, value: Frozen) -> Any:
        return value.array

    def attributes(self, value: Frozen) -> dict[str, Node]:
        return {}

    def fillable(self, value: Frozen) -> bool:
        return False

    def target(self, live: Any | None, spec: LeafSpec, node: Node) -> Target:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def _plugged(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    find = REGISTRY.find
    monkeypatch.setattr(REGISTRY, "find", lambda cls: _FrozenAdapter() if cls is Frozen else find(cls), raising=True)
    yield
    REGISTRY.changes += 1  # what was learned of the type is forgotten


def test_it_is_not_copied() -> None:
    pool = Pool()
    one = Frozen(np.arange(1000.0))
    taken = snapshot({"f": one, "u": np.ones(10)}, pool)
    frozen, plain = taken.leaves
    assert np.frombuffer(frozen.data).ctypes.data == one.array.ctypes.data
    assert frozen.data.readonly
    assert address_of(plain.data) == pool.address
    assert pool.capacity_bytes < 100
    assert taken.size_bytes == 8080


def test_it_lives_as_long_as_the_snapshot() -> None:
    pool, state = Pool(), {"f": Frozen(np.full(100_000, 7.0))}
    taken = snapshot(state, pool)
    state["f"] = Frozen(np.zeros(100_000))
    np.ones(100_000)  # would take the memory, were it free
    assert (np.frombuffer(taken.leaves[0].data) == 7.0).all()


def test_the_same_object_has_not_changed() -> None:
    pool, state = Pool(), {"f": Frozen(np.arange(3.0 * CHUNK_BYTES / 8)), "u": np.zeros(CHUNK_BYTES // 8)}
    assert snapshot(state, pool).changed == {}
    state["u"] += 1
    taken = snapshot(state, pool)
    assert taken.since == 1
    assert taken.changed == {"f": b"\0\0\0", "u": b"\1"}


def test_another_object_is_compared_by_its_bytes() -> None:
    pool = Pool()
    array = np.arange(3.0 * CHUNK_BYTES / 8)
    snapshot({"f": Frozen(array)}, pool)
    other = array.copy()
    assert snapshot({"f": Frozen(other)}, pool).changed == {"f": b"\0\0\0"}
    last = other.copy()
    last[-1] = 0
    taken = snapshot({"f": Frozen(last)}, pool)
    assert taken.changed == {"f": b"\0\0\1"}
    assert bytes(taken.leaves[0].data) == last.tobytes()


def test_one_that_becomes_mutable_is_of_another_layout() -> None:
    pool, array = Pool(), np.arange(100_000.0)
    snapshot({"f": Frozen(array)}, pool)
    taken = snapshot({"f": array}, pool)
    assert (taken.since, taken.changed) == (None, {})
    assert bytes(taken.leaves[0].data) == array.tobytes()
