"""Going back to the newest checkpoint that verifies: loudly past what is damaged, never to a silent fresh start."""

from __future__ import annotations

from collections.abc import Callable, Collection, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from outlast.backends.effort import DEFAULT, IO
from outlast.backends.keyfile import VARIABLE
from outlast.capture import Report
from outlast.capture import restore as put_back
from outlast.errors import DamageError, OutlastError, SignatureError, StorageError, UsageError
from outlast.format.model import Box, Manifest, Node
from outlast.format.names import CheckpointName
from outlast.run.events import Events
from outlast.run.peers import Peers, awaited, view
from outlast.store import Found, Pruner, Source, Store
from outlast.store import files as taking
from outlast.store.verdict import fallen_back, newest_saved, nothing_good


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What the run goes on from. `manifest` is None at a fresh start. `position` is this rank's."""

    name: CheckpointName | None
    manifest: Manifest | None
    report: Report | None
    position: Node = None


@dataclass(frozen=True, slots=True)
class _Heeding:
    """A source that looks up while it reads: large states take long."""

    source: Source
    heed: Callable[[], None]

    def read_into(self, path: str | Box, view: memoryview) -> None:
        self.fill([(path, view)])

    def fill(self, wanted: Sequence[tuple[str | Box, memoryview]]) -> None:
        self.source.fill(wanted, self.heed)


def restore(
    store: Store,
    pruner: Pruner,
    state: MutableMapping[str, Any],
    events: Events,
    *,
    allow: Collection[str],
    heed: Callable[[], None],
    io: IO = DEFAULT,
    peers: Peers | None = None,
) -> Restored:
    """Put the newest good checkpoint back into `state`; what is damaged goes to quarantine.

    `heed` is called again and again while leaves are read: if it raises, the state is left half filled. `io` says how
    hard that may work. With `peers` this is rank 0, and all ranks go back to the same checkpoint.

    Raises:
        DamageError: the store had checkpoints, and none of them is good.
        MismatchError: the checkpoint is good, but does not fit the state.
    """
    logs = store.attempts()
    acknowledged = newest_saved(logs)
    problems: list[str] = []
    is_refused = False
    for found in store.scan():
        if found.unreadable and not found.is_gone:
            problems.append(f"{found.name.format()}: {found.unreadable}")
            events.warn(f"{found.name.format()} cannot be read now: {found.unreadable}")
        if not found.counts:
            continue
        try:
            if peers is not None:
                peers.propose(found.name.format())
            tried = _try(store, found, state, allow, heed=heed, io=io, peers=peers)
        except SignatureError as e:  # never to quarantine: the key may be the wrong one
            is_refused = True
            problems.append(_first_line(e))
            events.warn(f"{_first_line(e)}: passed over and left where it is, trying the one before", kind=e.kind)
        except DamageError as e:
            problems.append(_first_line(e))
            _set_aside(pruner, events, found, _first_line(e))
        except StorageError as e:
            problems.append(_first_line(e))
            events.warn(f"{found.name.format()} cannot be read now: {_first_line(e)}; trying the one before")
        else:
            manifest, report = tried.manifest, tried.report
            pruner.learn(manifest, tried.manifest_bytes)
            trouble = "signatures" if is_refused else "damage" if problems else ""
            _say(events, found.name, manifest, acknowledged, trouble)
            if manifest.is_signed and store.trust.key is None:
                events.warn(f"{found.name.format()} is signed, what follows will not be: {VARIABLE} is not set")
            return Restored(name=found.name, manifest=manifest, report=report, position=tried.position)
    problems += [f"the journal of attempt {log.attempt} is damaged" for log in logs if log.damaged]
    if problems or acknowledged or store.quarantined():
        quarantined = len(store.quarantined())
        raise nothing_good(store.path, problems, acknowledged, quarantined=quarantined, is_refused=is_refused)
    return Restored(name=None, manifest=None, report=None)


def follow(
    store: Store,
    state: MutableMapping[str, Any],
    *,
    allow: Collection[str],
    heed: Callable[[], None],
    io: IO = DEFAULT,
    peers: Peers,
) -> Restored:
    """Put back what rank 0 proposes, on another rank. Raises on all ranks what one raises."""
    restored = Restored(name=None, manifest=None, report=None)
    while (proposed := peers.proposed()) is not None:
        try:
            tried = _try(store, proposed, state, allow, heed=heed, io=io, peers=peers)
        except (DamageError, StorageError):
            continue  # rank 0 says it, and proposes the one before
        name = CheckpointName.parse(proposed)
        restored = Restored(name=name, manifest=tried.manifest, report=tried.report, position=tried.position)
    return restored


def reread(
    store: Store,
    manifest: Manifest,
    state: MutableMapping[str, Any],
    allow: Collection[str],
    peers: Peers | None = None,
) -> None:
    """Put a checkpoint back once more. Raises as `restore` does, but looks for no other one."""
    seen = view(manifest, peers, allow)
    with store.source(manifest) as source:
        put_back(state, seen.tree, seen.leaves_of(source.leaves), source, allow=allow)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried:
    manifest: Manifest
    manifest_bytes: int
    report: Report
    position: Node


def _try(
    store: Store,
    found: Found | str,
    state: MutableMapping[str, Any],
    allow: Collection[str],
    *,
    heed: Callable[[], None],
    io: IO,
    peers: Peers | None = None,
) -> _Tried:
    waited: list[bool] = []

    def ready() -> None:
        if peers is not None:
            waited.append(True)
            peers.all_read(None)

    try:
        manifest, manifest_bytes = awaited(store, found) if isinstance(found, str) else store.read(found)
        if manifest.files:
            raise _of_another_kind(store, found if isinstance(found, str) else found.name.format())
        seen = view(manifest, peers, allow)
        with store.source(manifest, io) as source:
            source.check_parts()
            if allow:
                _check_all(source, heed)
            leaves = seen.leaves_of(source.leaves)
            report = put_back(state, seen.tree, leaves, _Heeding(source, heed), allow=allow, ready=ready)
    except OutlastError as e:
        if peers is not None and not waited:
            peers.all_read(e)
        raise
    return _Tried(manifest=manifest, manifest_bytes=manifest_bytes, report=report, position=seen.position)


def _check_all(source: Source, heed: Callable[[], None]) -> None:
    """Verify every leaf before the first live array is filled.

    Damage half-way through would leave bytes of this checkpoint in arrays that the next older one may let alone.
    """
    for damage in source.damages(lambda _: heed()):
        raise DamageError(f"{damage.leaf or damage.path}: {damage.what}", path=damage.path)


def refuse_files(store: Store) -> None:
    """Look whether the newest checkpoint is of a program that saves files: its supervisor has the run, not we.

    Raises:
        UsageError: it is.
        StorageError: the storage refused.
    """
    newest = next((found for found in store.scan() if found.counts), None)
    if newest is not None and taking.is_of_files(store.backend, newest.name):
        raise _of_another_kind(store, newest.name.format())


def _of_another_kind(store: Store, name: str) -> UsageError:
    hint = "one run, one store: name another one for this program; `outlast export DIR --store STORE` copies files out"
    return UsageError(
        f"{store.path} holds the files of another kind of program, and no state of a Run ({name})", hint=hint
    )


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
    trouble: str,
) -> None:
    events.tell("restored", f"restored step {manifest.step} from {name.format()}", step=manifest.step)
    if said := fallen_back(name, acknowledged, trouble):
        events.warn(said, step=manifest.step)


def _first_line(error: BaseException) -> str:
    return str(error).split("\n", 1)[0]
