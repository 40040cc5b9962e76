"""Sharing by chunk: what is written, what is named, for how long, and whose word is taken for what changed."""

from __future__ import annotations

import errno
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

import storekit
from largekit import Large, small
from outlast.errors import StorageError
from outlast.format.model import LeafBytes
from outlast.store import Draft, Store
from outlast.testing import CountedCalls, Fault
from storekit import BAND_BYTES, BANDS

W_BYTES = len(storekit.bands(1)["model/w"])
NEW_BYTES = BAND_BYTES + W_BYTES + 8  # one chunk of the band, all of `w`, `t`


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


def data_bytes(path: Path, step: int) -> int:
    """How many of a checkpoint's own part are leaves."""
    own = Store(path).manifest(next(name for name in Store(path).checkpoints() if name.step == step)).parts[0]
    return own.size_bytes - own.header_bytes


class Told(Large):
    """Its drafts may be changed before they are committed."""

    def commit(self, step, **more):
        own = self.writer.commit
        self.writer.commit = lambda draft: own(replace(draft, **more))
        try:
            return super().commit(step)
        finally:
            del self.writer.commit


def test_only_what_changed_is_written(path: Path) -> None:
    attempt = Large.begin(path, lean=99)
    for step in range(1, 6):
        attempt.save(step)
        assert data_bytes(path, step) == (NEW_BYTES if step > 1 else BANDS * BAND_BYTES + W_BYTES + 8)
    storekit.all_good(path)


def test_a_leaf_is_put_together_from_its_ranges(path: Path) -> None:
    attempt = Large.begin(path, lean=99)
    for step in (1, 2, 3):
        attempt.save(step)
    manifest = Store(path).manifest(Store(path).checkpoints()[0])
    band = next(leaf for leaf in manifest.leaves if leaf.path == "model/band")
    # Step 2 changed the third chunk, step 3 the fourth.
    assert [(manifest.parts[e.part].path[:14], e.size_bytes // BAND_BYTES) for e in band.extents] == [
        ("step-000000001", 2),
        ("step-000000002", 1),
        ("step-000000003", 1),
        ("step-000000001", 4),
    ]


@pytest.mark.parametrize("lean", [0, 1, 2, 5])
def test_no_more_checkpoints_than_allowed_lean_on_a_part(path: Path, lean: int) -> None:
    """Each chunk by itself is rewritten in time, however many parts it is scattered over."""
    attempt = Large.begin(path, lean=lean)
    for step in range(1, 16):
        attempt.save(step)
    later: Counter[str] = Counter()
    for name in Store(path).checkpoints():
        own = f"{name.format()}/"
        later.update(part.path for part in Store(path).manifest(name).parts if not part.path.startswith(own))
    assert max(later.values(), default=0) == lean
    storekit.all_good(path)


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_of_a_pruned_checkpoint_what_is_named_stays(path: Path, keep: int) -> None:
    attempt = Large.begin(path, lean=3)
    for step in range(1, 12):
        attempt.save(step, keep=keep)
        storekit.all_good(path)
    named = {p.path for name in Store(path).checkpoints() for p in Store(path).manifest(name).parts}
    there = {str(p.relative_to(path)) for p in path.rglob("part-*")}
    assert named == there


NOTHING_CHANGED = {name: bytes(-(-len(data) // BAND_BYTES)) for name, data in storekit.bands(1).items()}


@pytest.mark.parametrize("since", [None, 1, 3, 99])
def test_what_changed_since_another_snapshot_is_not_believed(path: Path, since: int | None) -> None:
    """Of those that were not committed last, also the one before, and one that never was."""
    attempt = Told.begin(path, lean=99)
    attempt.save(1)
    attempt.save(2)
    attempt.save(3, since=since, number=4, changed=NOTHING_CHANGED)
    storekit.all_good(path)
    assert data_bytes(path, 3) == NEW_BYTES


def test_what_changed_since_a_snapshot_whose_save_failed_is_not_believed(path: Path) -> None:
    calls = CountedCalls()
    attempt = Large.begin(path, lean=99, calls=calls)
    attempt.save(1)
    calls.fault = Fault(at=1, errno=errno.EIO, only=("pwrite",), lasting=True)
    with pytest.raises(StorageError):
        attempt.save(2)
    calls.fault = None
    attempt.save(3)
    storekit.all_good(path)
    assert storekit.newest(path) == 3


def test_a_leaf_of_which_nothing_is_said_is_compared_by_its_digests_or_written(path: Path) -> None:
    attempt = Told.begin(path, lean=99)
    attempt.save(1)
    attempt.save(2, changed={})
    storekit.all_good(path)
    assert data_bytes(path, 2) == BANDS * BAND_BYTES + W_BYTES + 8


def test_what_kept_its_path_and_changed_its_shape_is_written(path: Path) -> None:
    attempt = Large.begin(path, lean=99)
    attempt.save(1)
    with small():
        leaf = LeafBytes(
            path="model/band",
            dtype="int8",
            shape=(BANDS * BAND_BYTES,),
            data=memoryview(storekit.bands(1)["model/band"]),
        )
        drafted = Draft(step=2, tree={"model": {"band": {"$": "array", "leaf": "model/band"}}}, leaves=[leaf])
        parts = attempt.writer.commit(drafted).manifest.parts
    assert [part.path[:14] for part in parts] == ["step-000000002"]
