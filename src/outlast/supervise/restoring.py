"""The newest good checkpoint of a program that saves files, given out to an attempt: loudly past what is damaged.

A checkpoint is passed over for what is wrong with itself. What the storage refuses to the folder that it is given out
in (no room, no right) is no fault of any checkpoint: it ends the restore, and nothing goes to quarantine for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from outlast.errors import (
    DamageError,
    FencedError,
    OutlastError,
    SignatureError,
    SpaceError,
    StorageError,
)
from outlast.format.model import Manifest
from outlast.store import Found, Lease, Pruner, Store, handout
from outlast.store import files as taking
from outlast.store.verdict import fallen_back, newest_saved, nothing_good
from outlast.supervise.events import Tell

Heed = Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What was given out.

    Args:
        found: the checkpoint.
        manifest: its.
        said: that it is older than what was saved; empty if it is not.
    """

    found: Found
    manifest: Manifest
    said: str


class Restoring:
    """One restore.

    Args:
        store: where from.
        lease: the attempt's.
        pruner: learns what is given out, and sets damage aside.
        folder: where the files are given out, relative to the store. It is there afterwards, if anything is.
        tell: hears what is passed over.
        heed: called between pieces of work. What it raises ends the restore.
    """

    def __init__(self, store: Store, lease: Lease, pruner: Pruner, *, folder: str, tell: Tell, heed: Heed) -> None:
        self._store, self._lease, self._pruner = store, lease, pruner
        self._folder, self._tell, self._heed = folder, tell, heed
        self._problems: list[str] = []
        self._is_refused = False

    def restore(self) -> Given | None:
        """Give out the newest checkpoint that verifies; None if nothing was ever saved.

        Raises:
            DamageError: there were checkpoints, and none of them is good.
            FencedError: a newer attempt has taken over.
            SpaceError, StorageError: there is no room to give it out, or no right.
        """
        logs = self._store.attempts()
        newest = newest_saved(logs)
        for found in self._store.scan():
            if found.unreadable and not found.is_gone:
                self._problems.append(f"{found.name.format()}: {found.unreadable}")
                self._warn(f"{found.name.format()} cannot be read now: {found.unreadable}")
            read = self._read(found) if found.counts else None
            if read is not None and self._gives_out(found, read[0]):
                self._pruner.learn(*read)
                trouble = "signatures" if self._is_refused else "damage" if self._problems else ""
                return Given(found=found, manifest=read[0], said=fallen_back(found.name, newest, trouble))
        self._problems += [f"the journal of attempt {log.attempt} is damaged" for log in logs if log.damaged]
        quarantined = len(self._store.quarantined())
        if self._problems or newest or quarantined:
            self._lease.check()  # a newer attempt may have removed what we had listed: that is no damage
            raise nothing_good(
                self._store.path, self._problems, newest, quarantined=quarantined, is_refused=self._is_refused
            )
        return None

    def _read(self, found: Found) -> tuple[Manifest, int] | None:
        """Return a checkpoint's manifest and its size in bytes; None if it is passed over."""
        try:
            return self._store.read(found)
        except (DamageError, StorageError) as e:
            self._pass_over(found, e)
            return None

    def _gives_out(self, found: Found, manifest: Manifest) -> bool:
        """Whether a checkpoint is good, and was given out. Where there is no room, what is not needed goes first."""
        try:
            return self._tries(found, manifest)
        except SpaceError:
            if not makes_room(self._pruner):
                raise
        return self._tries(found, manifest)

    def _tries(self, found: Found, manifest: Manifest) -> bool:
        backend = self._store.backend
        taking.remove_tree(backend, self._folder)  # of the try before
        try:
            handout.hand_out(backend, manifest, self._folder, self._heed)
        except SpaceError:  # to read all of it for this would take long
            raise
        except (DamageError, StorageError) as e:
            trouble = e if isinstance(e, DamageError) else self._own_trouble(manifest)
            if trouble is None:
                self._lease.check()  # a newer attempt has swept the folder away
                raise
            self._pass_over(found, trouble)
            return False
        return True

    def _own_trouble(self, manifest: Manifest) -> OutlastError | None:
        """Return why a checkpoint's files cannot be read where they lie; None if they can."""
        try:
            handout.check(self._store.backend, manifest, self._heed)
        except (DamageError, StorageError) as e:
            return e
        return None

    def _pass_over(self, found: Found, error: OutlastError) -> None:
        """Say what is wrong with a checkpoint, and set damage aside. Raises what is no fault of the checkpoint's."""
        if isinstance(error, SpaceError):
            raise error
        said = str(error).split("\n", 1)[0]
        self._problems.append(said)
        if isinstance(error, SignatureError):  # never to quarantine: the key may be the wrong one
            self._is_refused = True
            self._warn(f"{said}: passed over and left where it is, trying the one before")
        elif isinstance(error, DamageError):
            self._set_aside(found, said)
        else:
            self._lease.check()  # a newer attempt has removed it
            self._warn(f"{found.name.format()} cannot be read now: {said}; trying the one before")

    def _set_aside(self, found: Found, reason: str) -> None:
        name = found.name.format()
        self._warn(f"{name} is damaged: {reason}; it goes to quarantine, trying the one before")
        try:
            self._pruner.quarantine(found.name, reason)
        except StorageError as e:
            self._warn(f"{name} could not be moved to quarantine: {str(e).partition(chr(10))[0]}")

    def _warn(self, text: str) -> None:
        self._tell("warning", f"warning: {text}")


def makes_room(pruner: Pruner) -> bool:
    """Remove what no checkpoint needs. Returns whether that went well: then there may be room now."""
    try:
        pruner.remove(())
    except FencedError:
        raise
    except (OutlastError, FileNotFoundError, FileExistsError):
        return False  # the refusal that led here is on its way up, and says more
    return True
