"""Going back to the newest checkpoint that verifies: loudly past what is damaged, never to a silent fresh start."""

from __future__ import annotations

from collections.abc import Callable, Collection, MutableMapping
from dataclasses import dataclass
from typing import Any

from outlast.capture import Report
from outlast.capture import restore as put_back
from outlast.errors import DamageError, OutlastError, StorageError, VersionError
from outlast.format.model import Manifest
from outlast.format.names import CheckpointName
from outlast.run.events import Events
from outlast.store import AttemptLog, Found, Pruner, Source, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What the run goes on from. `manifest` is None at a fresh start."""

    name: CheckpointName | None
    manifest: Manifest | None
    report: Report | None


@dataclass(frozen=True, slots=True)
class _Heeding:
    """A source that looks up between two leaves: large states take long to read."""

    source: Source
    heed: Callable[[], None]

    def read_into(self, path: str, view: memoryview) -> None:
        self.heed()
        self.source.read_into(path, view)


def finished(store: Store) -> Manifest | None:
    """Return the newest checkpoint's manifest if the run was done with it."""
    counted = [found for found in store.scan() if found.counts]
    if not counted:
        return None
    try:
        manifest, _ = store.read(counted[0])
    except (DamageError, StorageError):
        return None  # restoring will say what is wrong with it
    return manifest if manifest.done else None


def restore(
    store: Store,
    pruner: Pruner,
    state: MutableMapping[str, Any],
    events: Events,
    *,
    allow: Collection[str],
    heed: Callable[[], None],
) -> Restored:
    """Put the newest good checkpoint back into `state`; what is damaged goes to quarantine.

    `heed` is called before each leaf: if it raises, the state is left half filled.

    Raises:
        DamageError: the store had checkpoints, and none of them is good.
        MismatchError: the checkpoint is good, but does not fit the state.
    """
    logs = store.attempts()
    acknowledged = _acknowledged(logs)
    problems: list[str] = []
    for found in store.scan():
        if found.unreadable and not found.is_gone:
            problems.append(f"{found.name.format()}: {found.unreadable}")
            events.warn(f"{found.name.format()} cannot be read now: {found.unreadable}")
        if not found.counts:
            continue
        try:
            manifest, manifest_bytes, report = _try(store, found, state, allow, heed)
        except DamageError as e:
            problems.append(_first_line(e))
            _set_aside(pruner, events, found, _first_line(e))
        except StorageError as e:
            problems.append(_first_line(e))
            events.warn(f"{found.name.format()} cannot be read now: {_first_line(e)}; trying the one before")
        else:
            pruner.learn(manifest, manifest_bytes)
            _say(events, found.name, manifest, acknowledged, problems)
            return Restored(name=found.name, manifest=manifest, report=report)
    if problems or acknowledged or store.quarantined():
        raise _nothing_good(store, problems, acknowledged)
    return Restored(name=None, manifest=None, report=None)


def _try(
    store: Store, found: Found, state: MutableMapping[str, Any], allow: Collection[str], heed: Callable[[], None]
) -> tuple[Manifest, int, Report]:
    manifest, manifest_bytes = store.read(found)
    _check_kind(manifest, found)
    with store.source(manifest) as source:
        source.check_parts()
        if allow:
            _check_all(source, heed)
        report = put_back(state, manifest.tree, source.leaves, _Heeding(source, heed), allow=allow)
    return manifest, manifest_bytes, report


def _check_all(source: Source, heed: Callable[[], None]) -> None:
    """Verify every leaf before the first live array is filled.

    Damage half-way through would leave bytes of this checkpoint in arrays that the next older one may let alone.
    """
    for damage in source.damages(lambda _: heed()):
        raise DamageError(f"{damage.leaf or damage.path}: {damage.what}", path=damage.path)


def _check_kind(manifest: Manifest, found: Found) -> None:
    """Refuse what the format can say and this version cannot put back: it must not come back in part."""
    several = manifest.ranks > 1 or any(leaf.offset is not None for leaf in manifest.leaves)
    if several or manifest.files:
        what = "was written by several ranks" if several else "holds components that are files"
        hint = "upgrade outlast, or name another store; nothing was touched"
        raise VersionError(f"{found.name.format()} {what}: this outlast restores neither", hint=hint)


def _set_aside(pruner: Pruner, events: Events, found: Found, reason: str) -> None:
    name = found.name.format()
    events.warn(f"{name} is damaged: {reason}; it goes to quarantine, trying the one before", checkpoint=name)
    try:
        pruner.quarantine(found.name, reason)
    except StorageError as e:
        events.warn(f"{name} could not be moved to quarantine: {_first_line(e)}")


def _say(
    events: Events,
    name: CheckpointName,
    manifest: Manifest,
    acknowledged: CheckpointName | None,
    problems: list[str],
) -> None:
    events.tell("restored", f"restored step {manifest.step} from {name.format()}", step=manifest.step)
    if acknowledged and name < acknowledged:
        why = "damage" if problems else "the newer ones are gone"
        events.warn(
            f"the newest acknowledged checkpoint was {acknowledged.format()} (step {acknowledged.step}): "
            f"{why}; going on from step {manifest.step}",
            step=manifest.step,
        )


def _acknowledged(logs: tuple[AttemptLog, ...]) -> CheckpointName | None:
    """Return the newest checkpoint that a journal calls saved."""
    for log in reversed(logs):
        line = log.last("saved")
        name = CheckpointName.parse(str(line.get("checkpoint", ""))) if line else None
        if name:
            return name
    return None


def _nothing_good(store: Store, problems: list[str], acknowledged: CheckpointName | None) -> OutlastError:
    quarantined = len(store.quarantined())
    said = "; ".join(problems[:3]) or "its checkpoints are gone"
    last = f", the last one saved was {acknowledged.format()}" if acknowledged else ""
    return DamageError(
        f"no checkpoint in {store.path} is good: {said} ({quarantined} in quarantine{last})",
        path=store.path,
        hint="look at outlast verify and the quarantine folder; to start from the beginning, name a new store",
    )


def _first_line(error: BaseException) -> str:
    return str(error).split("\n", 1)[0]
