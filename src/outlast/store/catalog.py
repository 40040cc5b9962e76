"""What is in a store and what of it counts: the reader's judgement, without any lock.

A checkpoint counts if its manifest is visible and the newest attempt that took stock either wrote it, came
before it, or named it in its adopt line. What a fenced attempt published after it was taken over does not.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from outlast.backends import Posix
from outlast.errors import DamageError, StorageError, VersionError
from outlast.format import manifest as manifests
from outlast.format.digest import is_digest
from outlast.format.envelope import Text, unseal
from outlast.format.model import Manifest
from outlast.format.names import CheckpointName
from outlast.format.signing import Trust
from outlast.store import journal as journals
from outlast.store.layout import MANIFEST, STORE, is_listed, read_whole

_DIGEST_CHARS = 32
_TAIL_BYTES = 64
_GONE = "it was listed, and is not there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A checkpoint directory.

    Args:
        name: its name.
        committed: it has a manifest.
        counts: readers go by it.
        adopted_digest: what its manifest must end in; empty if nobody says.
        unreadable: why it cannot be listed; then it is neither committed nor counts as far as we know.
    """

    name: CheckpointName
    committed: bool
    counts: bool
    adopted_digest: str = ""
    unreadable: str = ""

    @property
    def is_gone(self) -> bool:
        """Whether it was removed between two looks, as far as can be seen."""
        return self.unreadable == _GONE


def read_store(backend: Posix) -> dict[str, Any]:
    """Read outlast.json. Raises FileNotFoundError, DamageError, VersionError."""
    found = unseal(read_whole(backend, STORE), path=STORE)
    version, requires = found.get("version"), found.get("requires", [])
    if found.get("format") != "outlast-store" or type(version) is not int or version < 1:
        raise DamageError(f"{STORE} does not describe an outlast store", path=STORE)
    if version > 1 or requires != []:
        wants = f" and requires {requires}" if requires else ""
        raise VersionError(
            f"{backend.root} has store format {version}{wants}, this outlast knows 1",
            hint="upgrade outlast; nothing was touched",
        )
    if not is_digest(found.get("store")):
        raise DamageError(f"{STORE} has no store id", path=STORE)
    return found


def scan(backend: Posix, store: str = "") -> tuple[Found, ...]:
    """List all checkpoint directories, newest first, and judge each.

    Args:
        backend: the store's storage.
        store: its id: what a journal of another store adopted is not heard. Empty: not known yet.
    """
    adopter, adopted = _adoption(backend, store)
    found = []
    for entry in backend.list(""):
        name = CheckpointName.parse(entry.name)
        if name is None or entry.kind != "dir":
            continue
        try:
            inner = backend.list(entry.name, missing_ok=False)
        except (FileNotFoundError, StorageError) as e:
            found.append(Found(name=name, committed=False, counts=False, unreadable=_why(e)))
            continue
        committed = any(one.name == MANIFEST for one in inner)
        counts = committed and (name.attempt >= adopter or entry.name in adopted)
        digest = adopted.get(entry.name, "") if name.attempt < adopter else ""
        found.append(Found(name=name, committed=committed, counts=counts, adopted_digest=digest))
    return tuple(sorted(found, key=lambda f: f.name, reverse=True))


def _why(error: Exception) -> str:
    return _GONE if isinstance(error, FileNotFoundError) else str(error).split("\n", 1)[0]


def load_manifest(backend: Posix, found: Found, store: str, trust: Trust) -> tuple[Manifest, int]:
    """Read and check a checkpoint's manifest; return it and its size in bytes.

    Raises:
        DamageError: it is not what was written, or belongs elsewhere.
        SignatureError: it is not signed as `trust` demands.
        StorageError: the storage could not read it.
    """
    path = f"{found.name.format()}/{MANIFEST}"
    try:
        text, size_bytes, digest = _opened(backend, path, trust)
    except FileNotFoundError:
        if is_published(backend, found.name):
            raise StorageError(f"{path} is listed, and cannot be opened: the storage shows stale names") from None
        raise DamageError(f"{path} is gone", path=path) from None
    read = manifests.read(text, path)
    named = CheckpointName(step=read.step, attempt=read.attempt, revision=read.revision)
    if named != found.name:
        raise DamageError(f"{path} says that it is {named.format()}: a misplaced file", path=path)
    if read.store != store:
        raise DamageError(f"{path} belongs to store {read.store}, this one is {store}", path=path)
    if found.adopted_digest and digest != found.adopted_digest:
        raise DamageError(f"{path} is not the manifest that a later attempt adopted", path=path)
    return read, size_bytes


def is_unfinished(backend: Posix, found: Found) -> bool:
    """Say whether a checkpoint is surely not that of a run that was done, by the first bytes of its manifest.

    Raises:
        DamageError, FileNotFoundError, StorageError: they cannot be read.
    """
    with backend.open(f"{found.name.format()}/{MANIFEST}") as file:
        head = bytearray(min(manifests.HEAD_BYTES, file.size_bytes))
        file.read_into(memoryview(head), 0)
    return manifests.is_unfinished(head)


def _opened(backend: Posix, path: str, trust: Trust) -> tuple[Text, int, str]:
    """Return a manifest's checked text, its size in bytes and its digest; the bytes themselves are let go of."""
    data = read_whole(backend, path)
    return manifests.opened(data, path, trust), len(data), digest_of(bytes(data[-_TAIL_BYTES:]))


def is_published(backend: Posix, name: CheckpointName) -> bool:
    """Say whether a checkpoint's manifest is visible, or may be."""
    return is_listed(backend, f"{name.format()}/{MANIFEST}")


def id_by_manifests(backend: Posix, trust: Trust) -> str | None:
    """Return the store's id as the newest readable manifest gives it."""
    for found in scan(backend):
        if found.committed:
            with suppress(DamageError, VersionError, FileNotFoundError):
                path = f"{found.name.format()}/{MANIFEST}"
                return manifests.decode(read_whole(backend, path), path, trust).store
    return None


def digest_of(manifest: bytes) -> str:
    """Return the digest that a sealed manifest ends in."""
    return manifest[-_TAIL_BYTES:].rpartition(b'"}')[0][-_DIGEST_CHARS:].decode("ascii", "replace")


def adoption(backend: Posix, found: tuple[Found, ...], attempt: int, acknowledged: Collection[str]) -> dict[str, str]:
    """Return what a new attempt accepts from older ones: name -> manifest digest ('' if it cannot be read).

    Args:
        backend: the store's storage.
        found: what is visible, after the claim.
        attempt: the new one.
        acknowledged: what the journals call saved: accepted whether it is visible now or not (a stale listing).
    """
    accepted = dict.fromkeys(acknowledged, "")
    for one in found:
        if one.counts and one.name.attempt < attempt:
            accepted[one.name.format()] = _digest_at(backend, f"{one.name.format()}/{MANIFEST}")
    return accepted


def _digest_at(backend: Posix, path: str) -> str:
    try:
        with backend.open(path) as file:
            tail = bytearray(min(_TAIL_BYTES, file.size_bytes))
            file.read_into(memoryview(tail), file.size_bytes - len(tail))
    except (DamageError, StorageError, FileNotFoundError):
        return ""  # accepted by name; reading it will say what is wrong
    return digest_of(bytes(tail))


def _adoption(backend: Posix, store: str) -> tuple[int, dict[str, str]]:
    """Return the newest attempt whose adopt line can be read, and the line's table."""
    for attempt in reversed(journals.attempts(backend)):
        try:
            log = journals.read_head(backend, attempt)
        except (DamageError, FileNotFoundError):
            continue
        line = log.first(journals.ADOPT)
        if line and isinstance(line.get("checkpoints"), dict) and log.is_of(store):
            return attempt, line["checkpoints"]
    return 0, {}
