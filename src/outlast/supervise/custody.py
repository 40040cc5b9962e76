"""Files of a program that knows nothing of us, in our custody: one attempt's claim, restore, takes and end.

For whoever runs a program that leaves its state as files, be it by the protocol (`supervise.courier`), a recipe, or a
transparent engine. Everything here waits for the storage; call it from one thread. What it tells is said by `tell`.

    custody = Custody.open(path, tell=tell)     # claims the run's next attempt: BusyError if another one lives
    custody.restored                            # Restored(folder, step): verified, read-only files; None: nothing yet
    custody.folder                              # absolute, on the store's file system: bring saves here
    custody.take("1200", 1200)                  # custody.folder/1200 (file or folder) becomes a checkpoint, durably
    custody.take("1300", 1300, done=True)       # ... the last one
    custody.finish()                            # or: marks as done what was taken last
    custody.beat()                              # every HEARTBEAT_S, from any thread
    custody.close("preempted")                  # or "done", "failed": the next attempt may claim at once

What is taken is gone from `folder`, by a rename: nothing is copied, but for files that have other names too. A restored
folder holds further names of the files in the checkpoint: never write to them. It is gone after `close`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

from outlast.backends import Syscalls, host
from outlast.clock import SYSTEM, Clock
from outlast.errors import (
    BusyError,
    DamageError,
    FencedError,
    OutlastError,
    SpaceError,
    StorageError,
    UsageError,
)
from outlast.format.model import Manifest
from outlast.policy import retention
from outlast.policy.restart import Report
from outlast.store import Again, AttemptLog, Committed, Draft, Lease, Pruner, Staged, Store, Writer, handout
from outlast.store import files as taking
from outlast.store import journal as journals
from outlast.store.layout import SAVES, told
from outlast.store.lease import Waiting
from outlast.supervise import processes, saves
from outlast.supervise.events import Tell
from outlast.supervise.restoring import Given, Restoring, makes_room
from outlast.supervise.terms import KEEP, SUPERVISOR
from outlast.units import format_size

TAKEOVER = "OUTLAST_TAKEOVER"
_LAST = "last"

Heed = Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What an attempt begins with.

    Args:
        folder: the absolute path of the files.
        step: of the checkpoint.
    """

    folder: str
    step: int


class Custody:
    """One attempt. Make it with `open`.

    Attributes:
        restored: what it begins with; None if nothing was saved yet.
        report: the last commit of this attempt; None before the first.
        last: likewise, in full.
    """

    def __init__(self, store: Store, lease: Lease, *, token: str, keep: int, tell: Tell, heed: Heed) -> None:
        self.restored: Restored | None = None
        self.last: Committed | None = None
        self._origin: Manifest | None = None
        self._store, self._lease, self._token = store, lease, token
        self._keep, self._tell, self._heed = retention.parse_keep(keep), tell, heed
        self._writer = Writer(lease, store.clock, store=store.id)
        self._pruner = Pruner(lease, store=store.id)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        tell: Tell,
        token: str = "",
        keep: int = KEEP,
        clock: Clock = SYSTEM,
        calls: Syscalls | None = None,
        heed: Heed = lambda: None,
        waiting: Waiting | None = None,
        fresh: bool = False,
    ) -> Self:
        """Claim the next attempt of the run in the store at `path`, which is made if it is missing, and restore.

        Args:
            path: the store's directory.
            tell: hears of what is restored, saved, damaged.
            token: the name of `folder`, from `saves.new_token`; empty: a new one.
            keep: how many checkpoints to keep.
            clock: time.
            calls: the storage calls; tests bring their own.
            heed: called between pieces of work. What it raises ends the work.
            waiting: as `Store.claim` takes it.
            fresh: the program has begun already, with nothing: refuse where there is a checkpoint that it should have
                begun with.

        Raises:
            BusyError: another attempt lives.
            UsageError: the store holds the state of a program that does not save files; or `fresh`, see there.
            DamageError: it had checkpoints, and none of them is good.
            SpaceError, StorageError: the storage refused; no checkpoint is passed over for want of room.
        """
        store = Store(path, create=True, clock=clock, calls=calls)
        for warning in store.warnings if store.is_new else ():
            tell("warning", f"warning: {warning}")
        return cls.under(_claim(store, waiting), store, token=token, keep=keep, tell=tell, heed=heed, fresh=fresh)

    @classmethod
    def under(
        cls,
        lease: Lease,
        store: Store,
        *,
        tell: Tell,
        token: str = "",
        keep: int = KEEP,
        heed: Heed = lambda: None,
        fresh: bool = False,
    ) -> Self:
        """As `open`, of an attempt that is claimed; the claim ends with this."""
        custody = cls(store, lease, token=token or saves.new_token(), keep=keep, tell=tell, heed=heed)
        try:
            custody._name_who_is_above()
            custody._begin(is_fresh=fresh)
        except BaseException:
            custody.close("failed")
            raise
        return custody

    @property
    def attempt(self) -> int:
        """Return the number of the attempt in the store."""
        return self._lease.attempt

    @property
    def folder(self) -> str:
        """Return the absolute path of the folder that saves come to. It is there only once somebody has made it."""
        return saves.save_folder(self._store.path, self._token)

    @property
    def report(self) -> Report | None:
        last = self.last
        if last is None:
            return None
        name, done = last.name, last.manifest.done
        return Report(store=self._store.path, attempt=name.attempt, step=name.step, done=done)

    @told
    def take(self, entry: str, step: int, *, done: bool = False) -> Committed:
        """Make a checkpoint of a file or folder in `folder`; it is durable and acknowledged on return.

        Where there is no room, what is not needed goes first. After a StorageError it is in `folder` again.

        Args:
            entry: its name there.
            step: of the state, not lower than that of the take before.
            done: it is the last one.

        Raises:
            UsageError: it holds something that cannot be state (a link, a FIFO), or no file: it is removed. Or the step
                is lower than the one before.
            CaptureError: it is too much for a manifest, likewise.
            FencedError: a newer attempt has taken over.
            SpaceError, StorageError: the storage refused.
        """
        if self.last is not None and step < self.last.name.step:
            raise UsageError(
                f"step {step} cannot be saved after step {self.last.name.step}: it would not be the newest"
            )
        path = f"{SAVES}/{self._token}/{entry}"
        kinds = {one.name: one.kind for one in self._store.backend.list(f"{SAVES}/{self._token}")}
        if kinds.get(entry, "other") == "other":
            self._lease.check()  # a newer attempt has swept it away
            with suppress(OutlastError):
                taking.remove_tree(self._store.backend, path)
            raise UsageError(
                f"{entry!r} is neither a file nor a folder", hint="save a regular file, or a folder of such"
            )
        return self._commit(Staged(path=path, is_file=kinds[entry] == "file", heed=self._heed), step, done=done)

    @told
    def finish(self) -> Committed:
        """Mark as done what was taken last, or else what was restored. Raises as `take` does."""
        if self.last is not None and self.last.manifest.done:
            return self.last
        manifest = self.last.manifest if self.last else self._origin
        step = manifest.step if manifest else 0
        if manifest is None or not manifest.files or manifest.digest == self._writer.digest:
            return self._commit(Again(manifest=manifest), step, done=True)
        entry = f"{SAVES}/{self._token}/{_LAST}"  # the run is signed by now, or is not any more: new digests
        with suppress(FileExistsError):
            self._store.backend.make_dir(f"{SAVES}/{self._token}")
        taking.remove_tree(self._store.backend, entry)
        try:
            handout.hand_out(self._store.backend, manifest, entry, self._heed)
        except DamageError:
            self._lease.check()  # a newer attempt has removed what we had restored: that is no damage
            raise
        return self._commit(Staged(path=entry, is_file=False, heed=self._heed), step, done=True)

    def beat(self) -> None:
        """Show that this attempt lives. From any thread, while it is open. Raises StorageError."""
        self._lease.beat()

    def check(self) -> None:
        """Look whether a newer attempt has taken over. Raises FencedError, StorageError."""
        self._lease.check()

    @told
    def requests(self) -> tuple[tuple[str, str], ...]:
        """Return what people ask of this run, each once: `stop` or `save`, and why.

        Raises:
            FencedError, StorageError: as `take` does.
        """
        waiting = self._store.requests()
        if waiting:
            self._lease.check()  # a newer attempt's are not ours to hear
        heard = []
        for request in waiting:
            if 0 < request.attempt < self._lease.attempt:
                text = f"dropped a request ({request.reason}): attempt {request.attempt} ended unheard of it"
                self._tell("warning", f"warning: {text}")
            else:
                heard.append((request.kind, request.reason))
            self._store.serve(request)
        return tuple(heard)

    def note(self, event: str, **fields: str | int | list[int]) -> None:
        """Write into the attempt's journal what nothing depends on."""
        try:
            self._lease.journal.record(event, sync=False, **fields)
        except OutlastError as e:
            self._tell("warning", f"warning: {event!r} could not be recorded: {e}")

    def is_passed_down(self) -> bool:
        """Say whether the newest attempt is of a supervisor below this one. It may have ended by now.

        Processes are looked at before its journal: who is not there any more has written all that it had to say.
        """
        backend = self._store.backend
        try:
            newest = journals.attempts(backend)[-1]
            now = processes.table()
            log = journals.read(backend, newest)
        except (OutlastError, FileNotFoundError, IndexError):
            return False  # nobody can tell whose it is
        claim, ours = log.first("claim"), os.getpid()
        owner = host.from_record(claim) if claim else None
        if owner is None or host.is_alive(owner, host.me()) is None:
            return False  # it is of another node or container
        is_there = owner.pid in processes.below(now, {ours}) and str(now[owner.pid].started) == owner.start
        return is_there or any(_names_above(event, ours) for event in log.events)

    @told
    def past(self) -> tuple[AttemptLog, ...]:
        """Return what became of the attempts of this run, this one last. Raises StorageError."""
        return self._store.attempts()

    def close(self, outcome: str, *, keeps: bool = False, **fields: str | int) -> None:
        """Let go. Trouble is said, and nothing more: all that counts is committed.

        Args:
            outcome: how the attempt ended: done, preempted, failed.
            keeps: leave `folder` as it is, for people: the next attempt removes it.
            fields: for the journal.
        """
        if not keeps:
            with suppress(OutlastError, FileNotFoundError):  # the next attempt sweeps
                saves.clear(self._store.backend, self._token)
        try:
            self._lease.end(outcome, **fields)
        except OutlastError as e:
            self._tell("warning", f"warning: the end of this attempt could not be recorded: {e}")

    def _name_who_is_above(self) -> None:
        """Leave word for a supervisor above us that we have taken over from: it may look only when we have ended."""
        if os.environ.get(SUPERVISOR):
            self.note("note", text="the processes above", above=list(processes.above()))

    @told
    def _begin(self, *, is_fresh: bool) -> None:
        try:
            self._begin_from(is_fresh=is_fresh)
        except (FileNotFoundError, FileExistsError):
            self._lease.check()  # a newer attempt has removed what we had listed
            raise

    def _begin_from(self, *, is_fresh: bool) -> None:
        with suppress(FileExistsError):
            self._store.backend.make_dir(SAVES)
        self._sweep()
        counted = [found for found in self._store.scan() if found.counts or found.unreadable]
        readable = next((found for found in counted if found.counts), None)
        if readable is not None and not taking.is_of_files(self._store.backend, readable.name):
            message = f"{self._store.path} holds the state of another kind of program ({readable.name.format()})"
            raise UsageError(message, hint="one run, one store: name another one with --store")
        if is_fresh and readable is not None:
            self._lease.check()
            message = f"{readable.name.format()} was saved while this program was being started without it"
            raise UsageError(message, hint="start it again")
        self._restore()

    def _sweep(self) -> None:
        """Remove what the programs of dead attempts have left unfinished."""
        for entry in self._store.backend.list(SAVES):
            if entry.name.removesuffix(saves.RESTORED) != self._token:
                try:
                    self._lease.check()
                    taking.remove_tree(self._store.backend, f"{SAVES}/{entry.name}")
                except FencedError:
                    raise
                except (StorageError, FileNotFoundError) as e:
                    self._tell("warning", f"warning: {SAVES}/{entry.name} of a dead attempt cannot be removed: {e}")

    def _restore(self) -> None:
        restoring = Restoring(
            self._store,
            self._lease,
            self._pruner,
            folder=f"{SAVES}/{self._token}{saves.RESTORED}",
            tell=self._tell,
            heed=self._heed,
        )
        given = restoring.restore()
        if given is None:
            self._lease.journal.record("started", step=0, files=True)
        else:
            self._begin_with(given)

    def _begin_with(self, given: Given) -> None:
        name, manifest = given.found.name.format(), given.manifest
        self._origin = manifest
        if manifest.files:
            self.restored = Restored(folder=f"{self.folder}{saves.RESTORED}", step=manifest.step)
        self._tell("restored", f"restored step {manifest.step} from {name}", step=manifest.step, checkpoint=name)
        if given.said:
            self._warn(given.said)
        self._lease.journal.record("restored", checkpoint=name, step=manifest.step, files=True)

    def _commit(self, files: Staged | Again, step: int, *, done: bool) -> Committed:
        draft = Draft(step=step, tree={}, leaves=(), done=done, files=files)
        try:
            committed = self._writer.commit(draft)
        except SpaceError:
            if not makes_room(self._pruner):
                raise
            committed = self._writer.commit(draft)
        self.last = committed
        text = f"committed step {step} ({format_size(committed.written_bytes)} in {committed.seconds_s:.2f} s)"
        self._tell(
            "committed",
            f"marked step {step} as the last: done" if isinstance(files, Again) else text,
            step=step,
            checkpoint=committed.name.format(),
            done=done,
            written_bytes=committed.written_bytes,
            seconds=round(committed.seconds_s, 6),
        )
        self._prune(committed)
        return committed

    def _prune(self, committed: Committed) -> None:
        """Remove what retention does not keep. Trouble here does not undo the commit: it is said, and tried again."""
        try:
            self._pruner.learn(committed.manifest, committed.manifest_bytes, is_durable=True)
            counted, _ = self._pruner.look()
            held = [
                retention.Held(
                    name=one.name.format(),
                    step=one.name.step,
                    files=one.files,
                    metrics=one.metrics,
                    good=True if one.name == committed.name else None,
                    done=one.done,
                )
                for one in counted
            ]
            names = {one.name.format(): one.name for one in counted}
            self._pruner.remove([names[name] for name in retention.decide(self._keep, held).remove])
        except FencedError:
            raise
        except (OutlastError, FileNotFoundError, FileExistsError) as e:
            self._warn(f"nothing was pruned: {_first_line(e)}")

    def _warn(self, text: str) -> None:
        self._tell("warning", f"warning: {text}")


def _claim(store: Store, waiting: Waiting | None) -> Lease:
    """Claim the next attempt; from a supervisor above us, which serves the same command, it is taken over."""
    try:
        return store.claim(takeover=os.environ.get(TAKEOVER) == "1", waiting=waiting)
    except BusyError:
        owner = store.live()
        if owner is None or not host.is_alive(owner, host.me()) or not processes.is_above(owner.pid):
            raise
    return store.claim(takeover=True, waiting=waiting)


def _names_above(event: Mapping[str, Any], pid: int) -> bool:
    """Say whether a line of a journal names a process as one above its attempt."""
    named = event.get("above") if event["event"] == "note" else None
    return isinstance(named, list) and pid in named


def _first_line(error: BaseException) -> str:
    return str(error).split("\n", 1)[0]
