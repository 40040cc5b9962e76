"""The verdict after a fault: what restores, what was acknowledged, whether the next attempt can go on."""

from __future__ import annotations

from pathlib import Path

import storekit
from outlast.errors import StorageError
from outlast.store import Store, journal
from outlast.store.prune import SPARE
from proof.scenarios import Scenario
from storekit import Attempt


def acknowledged(told: bytes) -> int | None:
    """The newest step that an act reported as safe."""
    return max((int(line.split()[1]) for line in told.splitlines() if line.startswith(b"ack")), default=None)


def _prune(attempt: Attempt) -> bool:
    """Prune; False where the record of a removal was lost: for a minute nothing more is removed."""
    try:
        attempt.prune(2)
    except StorageError as e:
        if "not visible yet" not in str(e):
            raise
        return False
    return True


def _saved(path: Path) -> set[str]:
    """The checkpoints that the journals acknowledge, and do not say to have removed."""
    return journal.acknowledged(Store(path).attempts())


def _is_told(path: Path, step: int) -> bool:
    """Whether a journal says of a step that it was saved: what an acknowledgement rests on."""
    lines = [event for log in Store(path).attempts() for event in log.events]
    return any(line["event"] == "saved" and line["step"] == step for line in lines)


def judge(path: Path, told: bytes, scenario: Scenario, *, lines_lost: bool = False) -> None:
    """Raise AssertionError unless the promises hold on what the fault left at `path`.

    What restores is the checkpoint before or the new one, and not older than what was acknowledged; whatever is
    visible is whole; the next attempt restores the same, and saves; it leaves no temporary file behind.

    `lines_lost`: the fault may have taken lines of the journal that were not synced.
    """
    known = acknowledged(told)
    is_store = (path / "outlast.json").exists()
    found = storekit.newest(path) if is_store else None
    assert found in scenario.allowed, f"restores {found}, expected one of {set(scenario.allowed)}"
    if known is not None:
        assert found is not None, f"acknowledged {known}, nothing restores"
        assert found >= known, f"acknowledged {known}, restores {found}"
        assert _is_told(path, known), f"acknowledged {known}, and no journal says so"
    if is_store:
        storekit.all_good(path, but=[scenario.damaged])
    if is_store and not scenario.damaged and not lines_lost:
        missing = _saved(path) - {name.format() for name in Store(path).checkpoints()}
        assert not missing, f"the journal says that {missing} were saved, and they are not there"
    again = scenario.kit.begin(path)
    before = again.restore()
    assert before == found, f"the next attempt restores {before}, a reader {found}"
    step = (found or 0) + 1
    still_damaged = scenario.damaged and (path / scenario.damaged / "manifest.json").exists()
    again.save(step, frozen=False)
    is_swept = not still_damaged and _prune(again)  # nothing is removed while one is unreadable
    again.writer.close()
    assert storekit.newest(path) == step, "the next save is not the newest"
    storekit.all_good(path, but=[scenario.damaged])
    again.lease.end("done")
    left = [p for p in path.rglob(".tmp-*") if p.parent not in (path, path / "journal")]
    left += path.glob(f"{SPARE}*") if is_swept else ()
    assert not left, f"left behind {left}"
