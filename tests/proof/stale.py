"""Stale views: another node reads, or takes over, while its look at the directories is up to a minute old.

`read:LOOK:SCENARIO:K:AGE`: a node's view is from before the K-th call of a scenario; when that has ended, it reads.
    AGE: how many seconds old the view is then. LOOK: `lists` if only listings are old, `names` if look-ups are too.
`claim:...`: it takes over, restores, saves, prunes. `prune:...`: it takes over only to prune.

What anybody acknowledged is there, or was replaced by what the newest attempt acknowledged; nobody goes back to an
older checkpoint than a journal calls saved without knowing it; what is read is whole. `twins` does this on real mounts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import storekit
from fileskit import Files
from outlast.errors import StorageError
from outlast.format.names import CheckpointName
from outlast.store import Store
from outlast.store import journal as journals
from outlast.store.lease import STALE_S
from outlast.testing import CountedCalls, FakeClock
from proof import ledger
from proof.core import Harness
from proof.old_views import OldViews
from proof.scenarios import SCENARIOS, calls_of, prepared
from storekit import Attempt

_AGES = (0, 59)
_EVERY = 3  # calls between two views


def cases() -> Iterator[str]:
    """Not the takeover of files: the restore comes with that claim, and is status 3 if an old view shows nothing."""
    for name, scenario in SCENARIOS.items():
        if scenario.damaged or scenario.seed is None or name == "read":
            continue
        for at in range(1, len(calls_of(name)) + 1, _EVERY):
            for what in ("read",) if scenario.kit is Files else ("read", "claim", "prune"):
                yield from (f"{what}:{look}:{name}:{at}:{age}" for look in ("lists", "names") for age in _AGES)


def run(case: str, folder: Path) -> int:
    what, look, name, at, age = case.split(":")
    path, clock = prepared(name, folder), FakeClock()
    view = OldViews(clock, look_ups=look == "names")
    _play(path, name, int(at), view)
    clock.sleep(float(age))
    acknowledged = ledger.check(path)
    if what == "read":
        ledger.read(Store(path, calls=view, clock=clock))
    else:
        _take_over(path, clock, view, acknowledged, SCENARIOS[name].kit, saves=what == "claim")
    return 1


def _play(path: Path, name: str, at: int, view: OldViews) -> None:
    """Play a scenario to its end; the other node's view is from before its `at`-th call."""
    calls = CountedCalls()

    def hook(_: str) -> None:
        if len(calls.log) == at:
            view.freeze(path)

    calls.hook = hook
    SCENARIOS[name].act(path, calls, lambda _: None)


def _take_over(
    path: Path,
    clock: FakeClock,
    view: OldViews,
    acknowledged: CheckpointName | None,
    kit: type[Attempt],
    *,
    saves: bool,
) -> None:
    attempt = kit.begin(path, calls=view, clock=clock, takeover=True)
    ledger.check(path)  # it took stock of all
    if saves:
        step = _restore(attempt, acknowledged)
        attempt.save(step + 1, frozen=False)
        ledger.check(path)
    _prune(attempt)
    newest = ledger.check(path)
    clock.sleep(STALE_S + 1)
    attempt.prune(1)
    assert ledger.check(path) == newest, "pruned something else than it should"
    if acknowledged is not None:
        assert newest is not None, "all that was acknowledged is gone"
        assert newest >= acknowledged, f"{acknowledged.format()} was acknowledged, {newest.format()} is the newest"
    attempt.writer.close()
    attempt.lease.end("done")
    after = kit.begin(path)
    assert newest is None or after.restore() == newest.step, "the next attempt restores something else"
    after.lease.end("done")


def _restore(attempt: Attempt, acknowledged: CheckpointName | None) -> int:
    """Restore as a run does; if that is older than what was acknowledged, its journals have to say so."""
    step, name = 0, None
    for found in attempt.store.scan():
        if found.counts:
            try:
                step, name = storekit.compare(attempt.store, attempt.store.read(found)[0]), found.name
            except StorageError:
                continue  # passed over, and said
            break
    if acknowledged is not None and (name is None or name < acknowledged):
        told = journals.acknowledged(attempt.store.attempts())
        assert acknowledged.format() in told, (
            f"restored {name}, and nothing says that there was {acknowledged.format()}"
        )
    return step


def _prune(attempt: Attempt) -> None:
    """Within a minute it may stand still, if something is hidden or shown that is not there."""
    try:
        attempt.prune(1)
    except StorageError as e:
        assert any(text in str(e) for text in ("not visible yet", "stale", "cannot be listed")), e


HARNESS = Harness(cases=cases, run=run, sample=150)
