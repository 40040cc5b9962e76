"""A run whose tensors lie on a device, for which a thread stands: each save holds the state of its boundary."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import outlast
from capture.test_cuda import DEVICES, SIDE, Rig, changed_in_place, hooks
from outlast.capture import Pool, registry, snapshot, snapshots
from outlast.capture.kinds import Kinds

pytestmark = pytest.mark.torch
STEPS = 5


@pytest.fixture(params=DEVICES)
def rig(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    made = Rig(request.param)
    known: registry.Registry = made.kinds.registry
    known.refresh()  # all adapters, and those of the rig before them
    known.plug(made.plug_ins)
    monkeypatch.setattr(snapshots, "REGISTRY", known)
    monkeypatch.setattr(snapshots, "KINDS", Kinds(known))
    yield made
    made.overlap.leave(made.pool)


def state_of(rig: Rig) -> dict[str, Any]:
    return {"model": rig.model, "optimizer": rig.optimizer, "near": np.zeros(1 << 18)}


def saved(path: Path) -> dict[int, bytes]:
    """Return the weight that each checkpoint holds, by step."""
    store = outlast.Store(path)
    found = {}
    for name in store.checkpoints():
        manifest = store.manifest(name)
        with store.source(manifest) as source:
            found[manifest.step] = bytes(source.read("model/0.weight"))
    return found


def test_each_save_holds_the_state_of_its_boundary(rig: Rig, tmp_path: Path) -> None:
    before, weights = hooks(), {}
    state = state_of(rig)
    with outlast.Run(tmp_path / "store", state, every=1, keep=STEPS + 1) as run:
        for step in run.steps(STEPS):
            weights[step] = rig.bytes_of(rig.weight)
            rig.device.block(rig.weight, rig.optimizer.state.get(rig.weight, {}).get("exp_avg", rig.weight))
            rig.step()
            state["near"] += 1
    weights[STEPS] = rig.bytes_of(rig.weight)
    found = saved(tmp_path / "store")
    assert len(found) > 2
    assert found == {step: weights[step] for step in found}
    assert hooks() == before
    assert rig.overlap.overlaps


def test_a_save_that_is_of_no_use_is_told_and_not_committed(rig: Rig, tmp_path: Path) -> None:
    weights: dict[int, bytes] = {}
    changed_at = 0
    with outlast.Run(tmp_path / "store", state_of(rig), every=1, keep=STEPS + 1) as run:
        for step in run.steps(STEPS):
            weights[step] = rig.bytes_of(rig.weight)
            if not changed_at and rig.is_late:
                changed_at = step
                changed_in_place(rig.weight)
            rig.step()
            if rig.is_heard and not changed_at:
                rig.device.block(rig.weight, until_held=True)
    weights[STEPS] = rig.bytes_of(rig.weight)
    found = saved(tmp_path / "store")
    assert changed_at
    assert changed_at not in found
    assert len(found) > 1
    assert found == {step: weights[step] for step in found}
    assert not rig.overlap.overlaps


def test_a_snapshot_has_what_is_near_and_what_is_far(rig: Rig) -> None:
    taken = snapshot(state_of(rig), rig.pool)
    sizes = {leaf.path: leaf.data.nbytes for leaf in taken.leaves}
    assert sizes["near"] == 8 << 18
    assert sizes["model/0.weight"] == SIDE * SIDE * 4
    assert taken.size_bytes == sum(sizes.values())
    assert rig.pool.capacity_bytes < 2 * sizes["near"]
    again = snapshot(state_of(rig), rig.pool)
    assert (again.since, again.changed) == (None, {})  # their chunks are reckoned from the size of the whole
    near = {"near": np.zeros(1 << 18)}
    assert [snapshot(near, pool).since for pool in [Pool()] for _ in range(2)] == [None, 1]
