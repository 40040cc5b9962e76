"""What counts, and in which order: by names and journals alone."""

from __future__ import annotations

import os
from pathlib import Path

import storekit
from outlast.store import Store
from storekit import Attempt


def test_the_order_does_not_depend_on_time_stamps(tmp_path: Path) -> None:
    """S-02. A copy, a backup or a wrong clock may have turned them round."""
    path = tmp_path / "store"
    first = Attempt.begin(path)
    for step in (1, 2, 9):
        first.save(step)
    first.lease.end("failed")
    second = Attempt.begin(path)
    second.save(3)  # it had to fall back, and is newer all the same
    for age, name in enumerate(reversed(Store(path).checkpoints())):
        for file in (path / name.format(), *(path / name.format()).iterdir()):
            os.utime(file, (1_000_000 - age * 1000,) * 2)
    assert storekit.counted_steps(path) == [3, 9, 2, 1]
    assert Store(path).find(None).step == storekit.newest(path) == 3
