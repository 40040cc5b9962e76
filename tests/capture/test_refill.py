"""How leaves are read: many at once, with a bound on the memory that targets take meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from capture.kit import DictSource, Saved, identical
from outlast.capture import refill, restore
from outlast.errors import DamageError


class Many(DictSource):
    """A source that is given many leaves at once. `groups` are their paths."""

    def __init__(self, held: dict[str, bytes]) -> None:
        self.held, self.groups = held, []
        self.read: list[str] = []

    def fill(self, wanted: Sequence[tuple[str, memoryview]]) -> None:
        self.groups.append([path for path, _ in wanted])
        for path, view in wanted:
            self.read_into(path, view)


def into(saved: Saved, live: dict[str, Any]) -> Many:
    source = Many(saved.source.held)
    restore(live, saved.tree, saved.leaves, source)
    return source


def state(make: Any) -> dict[str, Any]:
    return {
        "plain": make(6.0),
        "turned": make(12.0).reshape(3, 4).T,
        "big": make(7.0).astype(">f8"),
        "steps": make(20.0)[::2],
        "none": make(0.0),
        "text": "long " * 40_000,
        "torch": torch.arange(5),
        "torch turned": torch.from_numpy(make(6.0).reshape(2, 3)).T,
    }


def test_all_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    saved = Saved(state(np.arange))
    for bound, groups in ((1 << 30, 1), (0, 5), (200, 2)):
        monkeypatch.setattr(refill, "_TEMPORARY_BYTES", bound)
        live = state(lambda size: np.zeros(int(size)))
        held = live["steps"].base
        source = into(saved, live)
        assert all(
            identical(value, other) if isinstance(value, (str, np.ndarray)) else torch.equal(value, other)
            for value, other in zip(state(np.arange).values(), live.values(), strict=True)
        )
        assert not held[1::2].any()
        assert len(source.groups) == groups
        assert source.read == [path for path in saved.leaves if saved.source.held[path]]  # in the manifest's order


def test_one_that_is_larger_than_the_bound_is_read_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refill, "_TEMPORARY_BYTES", 100)
    names = "abcdef"
    saved = Saved({name: np.arange(10.0) + number for number, name in enumerate(names)})
    live: dict[str, Any] = {name: np.zeros(10) for name in names}
    live |= {name: np.zeros(20)[::2] for name in "bc"}  # 80 bytes each, in place they cannot be filled
    assert into(saved, live).groups == [["a", "b"], ["c", "d", "e", "f"]]
    monkeypatch.setattr(refill, "_TEMPORARY_BYTES", 10)
    assert into(saved, live).groups == [["a"], ["b"], ["c", "d", "e", "f"]]


def test_a_source_that_knows_one_leaf_only() -> None:
    saved = Saved(state(np.arange))
    live = state(lambda size: np.zeros(int(size)))
    saved.into(live)
    assert identical(live["turned"], np.arange(12.0).reshape(3, 4).T)


def test_after_damage_containers_are_as_they_were() -> None:
    saved = Saved({"a": np.ones(3), "b": [1, np.ones(3)], "c": 5})

    class Bad(Many):
        def fill(self, wanted: Sequence[tuple[str, memoryview]]) -> None:
            raise DamageError("rotten")

    live: dict[str, Any] = {"a": np.zeros(3), "b": [0, np.zeros(6)[::2]], "c": 0}
    with pytest.raises(DamageError, match="rotten"):
        restore(live, saved.tree, saved.leaves, Bad(saved.source.held))
    assert (live["c"], live["b"][0], live["b"][1].sum()) == (0, 0, 0)
