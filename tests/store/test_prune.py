"""What a removal tells, and when."""

from __future__ import annotations

from pathlib import Path

from outlast.store import Store, journal
from outlast.testing import CountedCalls
from storekit import Attempt


def test_what_goes_is_told_before_it_goes(tmp_path: Path) -> None:
    """After a kill in between, the next attempt must not take it for lost."""
    path = tmp_path / "store"
    calls = CountedCalls()
    attempt = Attempt.begin(path, calls=calls, lean=0)
    for step in (1, 2, 3):
        attempt.save(step)
    told: list[set[str]] = []

    def look(name: str) -> None:
        if name == "unlink":
            told.append(journal.acknowledged(Store(path).attempts()))

    calls.hook = look
    attempt.prune(1)
    calls.hook = None
    first, second = "step-000000001.a0001", "step-000000002.a0001"
    assert first not in told[0]  # before the very first file goes
    assert second in told[0]
    assert journal.acknowledged(Store(path).attempts()) == {"step-000000003.a0001"}
    assert second not in told[-1]
