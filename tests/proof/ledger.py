"""What the journals of all attempts say, held against what is there: the oracle where several writers met.

An attempt may not acknowledge what does not count: each checkpoint that a journal calls saved was pruned by that
attempt itself before it was taken over, or the next attempt that took stock names it. What the newest one that took
stock named or saved, and what was not pruned since, is there, and whole.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import storekit
from outlast.errors import DamageError, StorageError
from outlast.format.names import CheckpointName
from outlast.store import AttemptLog, Store

Names = set[str]


def saved(log: AttemptLog) -> Names:
    return {str(event["checkpoint"]) for event in log.events if event["event"] == "saved"}


def removed(log: AttemptLog) -> Names:
    """What an attempt says to have pruned or put into quarantine, or was about to."""
    gone = {str(name) for event in log.events if event["event"] == "pruned" for name in event["checkpoints"]}
    return gone | {str(event["checkpoint"]) for event in log.events if event["event"] == "quarantined"}


def adopted(log: AttemptLog) -> Names | None:
    line = log.first("adopt")
    return set(line["checkpoints"]) if line else None


def check(path: Path, *, damaged: Collection[str] = ()) -> CheckpointName | None:
    """Raise AssertionError if a journal's word was broken. Returns the newest acknowledged checkpoint.

    `damaged`: the checkpoints that the case itself damaged: nothing is promised of them.
    """
    store = Store(path)
    logs = store.attempts()
    check_journals(logs)
    _check_visible(store, damaged)
    safe = _safe(logs) - set(damaged)
    there = {name.format() for name in store.checkpoints()}
    assert safe <= there, f"acknowledged, and gone: {safe - there}"
    found = [name for name in map(CheckpointName.parse, safe) if name]
    return max(found, default=None)


def check_journals(logs: tuple[AttemptLog, ...]) -> None:
    """Check that the journals are whole, and that each attempt took over what those before it have acknowledged."""
    for log in logs:
        assert not log.damaged, f"attempt {log.attempt}: {log.damaged} damaged lines"
    for at in range(len(logs)):
        _check_acknowledged(logs[at:])


def _check_visible(store: Store, damaged: Collection[str]) -> None:
    """Check that what counts is whole, and that no manifest is visible over missing bytes, counting or not (I1)."""
    for found in store.scan():
        if found.committed and found.name.format() not in damaged:
            manifest, _ = store.read(found)
            with store.source(manifest) as source:
                source.check_parts()
            if found.counts:
                storekit.compare(store, manifest)


def _check_acknowledged(logs: tuple[AttemptLog, ...]) -> None:
    """Check that what the first of `logs` saved was taken over by the next that took stock."""
    mine: Names = saved(logs[0])
    for at, log in enumerate(logs[1:], 2):
        taken = adopted(log)
        if taken is not None:
            # One that was stopped between claim and stock may take stock after it was taken over from itself.
            later = {name for more in logs[at:] for name in adopted(more) or ()}
            lost = mine - removed(logs[0]) - taken - later
            assert not lost, f"attempt {logs[0].attempt} acknowledged {lost}, attempt {log.attempt} took stock without"
            return


def _safe(logs: tuple[AttemptLog, ...]) -> Names:
    """What is acknowledged and was removed by nobody: it has to be there.

    An attempt that was stopped between its look and its removal may carry that one out after it was taken over: of a
    checkpoint with an acknowledged successor. It has said so before.
    """
    every = {name for log in logs for name in saved(log)}
    newest = next((adopted(log) or set() for log in reversed(logs) if adopted(log) is not None), set())
    last = next((log.attempt for log in reversed(logs) if adopted(log) is not None), 0)
    own = {name for log in logs if log.attempt >= last for name in saved(log)}
    return ((every & newest) | own) - {name for log in logs for name in removed(log)}


def read(store: Store) -> None:
    """Read all that counts: what was removed since cannot be read, and is never called damage while it looks there."""
    for found in store.scan():
        if not found.counts:
            continue
        try:
            storekit.compare(store, store.read(found)[0])
        except StorageError:
            continue
        except DamageError as e:
            assert not store.is_there(found), f"{found.name.format()} looks as if it were there, and: {e}"
