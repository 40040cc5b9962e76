"""Removing, in the order that no crash can turn into a loss: manifest, sync, then what no manifest names.

Retention (which to remove) is decided elsewhere. Here nothing goes while any manifest is unreadable, since
an unreadable manifest may name any part; and nothing goes once a newer attempt has claimed the run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import replace

from outlast.backends import Spare
from outlast.backends.publishing import TEMPORARY
from outlast.errors import DamageError, OutlastError, StorageError
from outlast.format.model import Manifest
from outlast.format.names import CheckpointName, part_rank
from outlast.store.catalog import Found, is_published, load_manifest, scan
from outlast.store.holdings import Held, held
from outlast.store.layout import JOURNAL, MANIFEST, QUARANTINE, TRASH, told
from outlast.store.lease import Lease

_STALE_S = 3600.0
SPARE = f"{TEMPORARY}spare-"
_SPARE_OF = re.compile(rf"{re.escape(SPARE)}a([0-9]{{4,9}})-")


class Pruner:
    """Removes checkpoints for the attempt that holds the lease, and remembers what the others hold.

    A manifest never changes, so one reading each is enough for as long as the process lives.

    Args:
        lease: the right to remove.
        store: the store's id.
        reuse: set one removed part aside each time, for `spare`.
    """

    def __init__(self, lease: Lease, *, store: str, reuse: bool = False) -> None:
        self._lease, self._backend, self._store = lease, lease.backend, store
        self._reuse = reuse
        self._spare: Spare | None = None
        self._held: dict[CheckpointName, Held] = {}
        self._removed: set[CheckpointName] = set()  # from view, by us: withdrawn or quarantined
        self._withdrawn: set[CheckpointName] = set()
        self._durable: set[CheckpointName] = set()  # published, and known to survive a loss of power
        self._is_tidy = False

    def learn(self, manifest: Manifest, manifest_bytes: int, *, is_durable: bool = False) -> None:
        """Take note of a manifest that this process has read, or committed: then it is durable."""
        one = held(manifest, manifest_bytes)
        self._held[one.name] = one
        if is_durable:
            self._durable.add(one.name)

    def spare(self) -> Spare | None:
        """Return the part that was set aside, once; whoever takes it overwrites or removes it."""
        spare, self._spare = self._spare, None
        return spare

    @told
    def look(self) -> tuple[tuple[Held, ...], tuple[Found, ...]]:
        """Return what counts, newest first, and what is committed but does not count.

        Raises:
            DamageError, StorageError: a manifest or a directory cannot be read; then nothing may be removed.
        """
        counted, strays = [], []
        for found in self._scan():
            if not found.committed:
                continue
            if found.name not in self._held:
                self.learn(*self._read(found))
            if found.counts:
                counted.append(self._held[found.name])
            else:
                strays.append(found)
        return tuple(counted), tuple(strays)

    def _read(self, found: Found) -> tuple[Manifest, int]:
        try:
            return load_manifest(self._backend, found, self._store, self._lease.trust)
        except DamageError:
            self._lease.check()  # gone under our eyes: by a newer attempt?
            raise

    @told
    def remove(self, names: Collection[CheckpointName]) -> tuple[CheckpointName, ...]:
        """Remove checkpoints, oldest first. The newest that counts stays whatever is asked.

        Raises:
            FencedError: a newer attempt has claimed the run; nothing (more) was removed.
        """
        counted, strays = self.look()  # the list first, the fence after it: see spec, "Prune"
        self._lease.check()
        spared = counted[0].name if counted else None
        mine = [s.name for s in strays if s.name.attempt < self._lease.attempt]
        gone = sorted((set(names) - {spared}) | set(mine))
        self._check_visible(counted)
        if gone:
            self._settle(one.name for one in counted if one.name not in gone)
        removed = []
        for name in gone:
            self._lease.check()
            self._lease.journal.record("pruned", sync=False, checkpoints=[name.format()])  # before: we may be killed
            self._held.pop(name, None)
            self._removed.add(name)
            self._withdrawn.add(name)
            if self._withdraw(name):
                removed.append(name)
        self.sweep(counted=counted, gone=set(gone))
        return tuple(removed)

    def _scan(self) -> tuple[Found, ...]:
        """List what there is; an unreadable directory may hold a manifest, and that may name anything."""
        found = scan(self._backend, self._store)
        for one in found:
            if one.unreadable:
                self._lease.check()  # gone under our eyes: by a newer attempt?
                raise StorageError(f"{one.name.format()} cannot be listed: {one.unreadable}")
        return tuple(self._judged(one) for one in found)

    def _judged(self, found: Found) -> Found:
        """Judge by what this attempt took stock of: on a full disk its adopt line is not written yet.

        A fenced writer may publish meanwhile; nothing may go because of that one.
        """
        name = found.name
        known = name.attempt >= self._lease.attempt or name.format() in self._lease.adopted
        return found if known or not found.counts else replace(found, counts=False)

    def _check_visible(self, counted: Collection[Held]) -> None:
        """Check that nothing is hidden by a listing from before our claim: it might name what would go."""
        known = {one.name for one in counted} | self._removed | self._quarantined().keys()
        hidden = sorted(self._lease.adopted - {name.format() for name in known})
        if hidden and self._lease.is_young:
            message = f"{self._backend.root}: {hidden[0]} was saved a moment ago and is not visible yet"
            raise StorageError(message, hint="nothing is removed until a minute has passed")

    def _settle(self, kept: Iterable[CheckpointName]) -> None:
        """Make durable what stays: who published it may have been killed before the sync that follows."""
        for name in kept:
            if name not in self._durable:
                try:
                    self._backend.sync(name.format())
                except FileNotFoundError as e:
                    self._lease.check()  # a newer attempt has removed it
                    raise StorageError(f"{name.format()} was listed, and is not there") from e
                self._durable.add(name)

    def _withdraw(self, name: CheckpointName) -> bool:
        """Remove a manifest durably; False if somebody else was quicker, who can only be a newer attempt."""
        try:
            self._backend.remove(f"{name.format()}/{MANIFEST}")
            self._backend.sync(name.format())
        except FileNotFoundError:
            self._withdrawn.discard(name)
            self._lease.check()
            if is_published(self._backend, name):  # else its parts would go while it names them
                raise StorageError(
                    f"{name.format()} is listed, and cannot be removed: the storage shows stale names"
                ) from None
            return False
        return True

    @told
    def sweep(self, *, counted: Collection[Held], gone: Collection[CheckpointName]) -> None:
        """Remove the directories without a manifest of this and of older attempts, but for named parts."""
        named = {path for one in counted if one.name not in gone for path in one.files}
        damaged = self._quarantined()
        for found in self._scan():
            if found.committed or found.name.attempt > self._lease.attempt:
                continue
            self._lease.check()
            if found.name in damaged and found.name not in self._withdrawn:
                self._move_parts(found.name, damaged[found.name], named)
            elif not self._is_kept(found.name):
                self._clear(found.name, named)
        for entry in self._backend.list(""):
            if entry.name.startswith(TRASH) and entry.kind == "dir" and not self._has_manifest(entry.name):
                self._lease.check()
                self._empty(entry.name)
        if not self._is_tidy:
            self._is_tidy = True
            self._drop_temporaries()

    def _is_kept(self, name: CheckpointName) -> bool:
        """Whether a checkpoint is known to have been committed, and not removed: its manifest is not visible *now*.

        Another node's may not be visible for a while after the claim; after that it was removed by a prune that was
        killed before it could say so.
        """
        if name in self._removed:
            return False
        return name in self._held or (self._lease.is_young and name.format() in self._lease.adopted)

    @told
    def quarantine(self, name: CheckpointName, reason: str) -> None:
        """Move a damaged checkpoint out of the way: its manifest, then the parts that no other one names.

        Nothing is deleted. Where a manifest cannot be read all parts stay where they are.
        """
        self._lease.check()
        path = name.format()
        to = self._make_quarantine(name)
        self._removed.add(name)
        try:
            self._backend.move(f"{path}/{MANIFEST}", f"{to}/{MANIFEST}")
            self._backend.sync(to)
            self._backend.sync(path)
        except FileNotFoundError as e:
            self._lease.check()  # a newer attempt was quicker, or has swept the rest away meanwhile?
            raise StorageError(f"{path}/{MANIFEST} was listed, and is not there") from e
        self._held.pop(name, None)
        self._lease.journal.record("quarantined", checkpoint=path, reason=reason, to=to)
        try:
            counted, _ = self.look()
        except OutlastError:
            return  # another one is damaged too; its turn comes, and the next sweep moves the parts
        self._move_parts(name, to, {path for one in counted for path in one.files})

    def _quarantined(self) -> dict[CheckpointName, str]:
        """Return where in quarantine each checkpoint lies that was moved there, parts or not."""
        found = {}
        for entry in self._backend.list(QUARANTINE):
            name = CheckpointName.parse(entry.name.rpartition("-")[0])
            if name and entry.kind == "dir" and self._has_manifest(f"{QUARANTINE}/{entry.name}"):
                found[name] = f"{QUARANTINE}/{entry.name}"
        return found

    def _has_manifest(self, path: str) -> bool:
        """Whether a directory holds a manifest, or may: it is there, and the storage denies it."""
        try:
            return any(entry.name == MANIFEST for entry in self._backend.list(path, missing_ok=False))
        except FileNotFoundError:
            return True

    def _move_parts(self, name: CheckpointName, to: str, named: Collection[str]) -> None:
        """Move what a quarantined checkpoint's directory still holds after its manifest, but for named parts."""
        path = name.format()
        reached = {to}
        for entry in self._backend.list(path):
            if f"{path}/{entry.name}" not in named and (entry.kind != "dir" or not _holds(named, path, entry.name)):
                to = self._move(name, entry.name, to)
                reached.add(to)
        if not self._backend.list(path):
            for one in sorted(reached):
                self._backend.sync(one)  # first: a power cut must not leave what was moved without any name
            self._drop(path)

    def _move(self, name: CheckpointName, inner: str, to: str) -> str:
        """Move a file to quarantine; return the directory there: another one if the name is taken (it was put back)."""
        try:
            self._backend.move(f"{name.format()}/{inner}", f"{to}/{inner}")
        except FileExistsError:
            self._lease.check()
            to = self._make_quarantine(name)
            self._backend.move(f"{name.format()}/{inner}", f"{to}/{inner}")
        except FileNotFoundError:
            self._lease.check()  # somebody else was quicker: a newer attempt?
        return to

    def _drop_temporaries(self) -> None:
        """Remove the temporary files that killed attempts left beside what they published."""
        for found in scan(self._backend, self._store):
            if found.name.attempt < self._lease.attempt:
                self._drop_in(found.name.format(), 0.0)
        for entry in self._backend.list(""):
            if (attempt := _SPARE_OF.match(entry.name)) and int(attempt[1]) < self._lease.attempt:
                self._drop(entry.name)
        for path in ("", JOURNAL):  # whose they are cannot be told: those of an hour ago are nobody's
            self._drop_in(path, _STALE_S)

    def _drop_in(self, path: str, older_s: float) -> None:
        for entry in self._backend.list(path):
            if not entry.name.startswith(TEMPORARY) or entry.name.startswith(SPARE):  # as old as its part's save
                continue
            inner = f"{path}/{entry.name}" if path else entry.name
            with suppress(FileNotFoundError):
                made, now = self._backend.heartbeat(inner) if older_s else (0.0, 0.0)
                if now - made < older_s:
                    continue
                if entry.kind == "dir":  # where `outlast doctor` tried the storage, and was killed
                    self._empty(inner)
                else:
                    self._backend.remove(inner)

    def _make_quarantine(self, name: CheckpointName) -> str:
        to = f"{QUARANTINE}/{name.format()}-{os.urandom(3).hex()}"
        for path, parent in ((QUARANTINE, ""), (to, QUARANTINE)):
            with suppress(FileExistsError):
                self._backend.make_dir(path)
            self._backend.sync(parent)  # found or made: who made it may have been killed before it was durable
        return to

    def _clear(self, name: CheckpointName, named: Collection[str]) -> None:
        """Take a directory without a manifest away, unless a part in it is still named."""
        path = name.format()
        if name not in self._withdrawn:  # somebody else removed its manifest, and may have been killed before this
            try:
                self._backend.sync(path)
            except FileNotFoundError:
                return
        if any(part.startswith(f"{path}/") for part in named):
            for entry in self._backend.list(path):
                if f"{path}/{entry.name}" not in named and entry.kind != "dir" and entry.name != MANIFEST:
                    self._discard(path, entry.name)
            return
        trash = f"{TRASH}{os.urandom(8).hex()}"
        try:
            # Renamed first: a writer that was fenced but not yet stopped cannot publish in it any more.
            self._backend.move(path, trash)
        except FileNotFoundError:
            return
        if self._has_manifest(trash):
            try:
                self._backend.move(trash, path)
            except FileNotFoundError as e:
                self._lease.check()  # emptied under our eyes: by a newer attempt?
                raise StorageError(f"{trash}, which {path} was renamed to, is gone") from e
            raise StorageError(
                f"{path} was listed without a manifest, and has one: the storage shows stale directories"
            )
        self._empty(trash)

    def _drop(self, path: str) -> None:
        with suppress(FileNotFoundError):  # somebody else was quicker
            self._backend.remove(path)

    def _discard(self, path: str, inner: str) -> None:
        """Remove a file that no table names and no path leads to any more, or set it aside to be overwritten."""
        if not self._reuse or self._spare or part_rank(inner) is None or not self._sets_aside(f"{path}/{inner}"):
            self._drop(f"{path}/{inner}")

    def _sets_aside(self, path: str) -> bool:
        with suppress(FileNotFoundError):
            self._spare = self._backend.set_aside(path, f"{SPARE}a{self._lease.attempt:04d}-{os.urandom(4).hex()}")
        return self._spare is not None

    def _empty(self, path: str) -> None:
        for entry in self._backend.list(path):
            if entry.kind == "dir":
                self._empty(f"{path}/{entry.name}")
            else:
                self._discard(path, entry.name)
        try:
            self._drop(path)
        except StorageError:
            if self._backend.list(path):
                return  # NFS keeps .nfs files of open parts: the next prune takes them
            raise


def _holds(named: Collection[str], path: str, folder: str) -> bool:
    """Whether a folder of a checkpoint holds a file that another one names."""
    return any(one.startswith(f"{path}/{folder}/") for one in named)
