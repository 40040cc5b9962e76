"""The store of one run: opening or making it, what is in it, who may write. A thin front over its neighbours."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from outlast.backends import Posix, Syscalls, drilled, keyfile, mounts
from outlast.backends.effort import DEFAULT, IO
from outlast.clock import SYSTEM, Clock, iso
from outlast.errors import DamageError, NothingError, StorageError, UsageError
from outlast.format.envelope import seal
from outlast.format.jobs import JobLog
from outlast.format.model import Manifest
from outlast.format.names import CheckpointName
from outlast.store import catalog
from outlast.store import journal as journals
from outlast.store.catalog import Found
from outlast.store.jobs import job_logs
from outlast.store.journal import AttemptLog
from outlast.store.layout import CONTROL, JOURNAL, QUARANTINE, STORE, journal_path, read_whole, told

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from outlast.backends import host
    from outlast.store.lease import Lease, Waiting
    from outlast.store.reading import Source

REQUESTS = ("stop", "save")
_LOOKS = 20  # each is in vain only if a live run has saved and pruned between two calls
_RECENT = 5  # attempts that may have saved within the last minute


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A wish of a person at another terminal.

    Args:
        kind: `stop` or `save`.
        path: the file that carries it.
        reason: why.
        attempt: whom it was meant for; 0 if it does not say.
    """

    kind: str
    path: str
    reason: str
    attempt: int = 0


class Store:
    """A run's store.

    Args:
        path: its directory.
        create: make it if it is not there.
        calls, clock: seams for tests.

    Raises:
        NothingError: there is no store and `create` is off.
        VersionError: a newer outlast wrote it.
        DamageError: outlast.json is damaged and nothing else tells the store's id.
        UsageError: OUTLAST_KEY_FILE names no key that can be used; or `create`, and the directory is somebody else's.

    Attributes:
        id: the store's identity, 32 hex digits, repeated in all that it holds.
        trust: how manifests are signed and believed, by OUTLAST_KEY_FILE and OUTLAST_TRUST_UNSIGNED.
        warnings: what the user should know about this storage.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        create: bool = False,
        calls: Syscalls | None = None,
        clock: Clock = SYSTEM,
    ) -> None:
        self.backend = Posix(path, calls=calls)
        self.clock = clock
        self.path = self.backend.root
        self.warnings: list[str] = []
        self.is_new = False
        self.trust = keyfile.trust(self.path)
        if create:
            drilled.check_inside(self.path)
            self._make()
        elif not self.backend.exists():
            raise NothingError(f"there is no store at {self.path}", hint="name the store, or set OUTLAST_STORE")
        self.id = self._identify()
        note = mounts.warning(mounts.find(self.path), self.path, in_job=mounts.in_batch_job())
        if note:
            self.warnings.append(note)

    @told
    def finished(self) -> Manifest | None:
        """Return the newest checkpoint's manifest if the run was done with it."""
        counted = [found for found in self.scan() if found.counts]
        if not counted or self.is_unfinished(counted[0]):
            return None
        try:
            manifest, _ = self.read(counted[0])
        except (DamageError, StorageError):
            return None  # restoring will say what is wrong with it
        return manifest if manifest.done else None

    @told
    def checkpoints(self) -> tuple[CheckpointName, ...]:
        """Return the checkpoints that count, newest first."""
        return tuple(f.name for f in self.scan() if f.counts)

    @told
    def scan(self) -> tuple[Found, ...]:
        """Return every checkpoint directory, newest first: uncommitted and fenced ones too."""
        return catalog.scan(self.backend, self.id)

    def manifest(self, name: CheckpointName) -> Manifest:
        """Read a checkpoint's manifest. Raises NothingError, DamageError, StorageError."""
        return self.sized(name)[0]

    @told
    def sized(self, name: CheckpointName) -> tuple[Manifest, int]:
        """Read a checkpoint's manifest; return it and its size in bytes. Raises as `manifest` does."""
        for found in self.scan():
            if found.name == name and found.committed:
                try:
                    return self.read(found)
                except DamageError:
                    if self.is_there(found):
                        raise
        raise NothingError(f"there is no checkpoint {name.format()} in {self.path}", hint="see: outlast ls")

    def read(self, found: Found) -> tuple[Manifest, int]:
        """As `sized`, of a checkpoint that `scan` gave: without listing all of them again."""
        return catalog.load_manifest(self.backend, found, self.id, self.trust)

    def is_unfinished(self, found: Found) -> bool:
        """Say whether a checkpoint is surely not the last of a run that was done; a look, where `read` takes long."""
        with suppress(DamageError, StorageError, FileNotFoundError):
            return catalog.is_unfinished(self.backend, found)
        return False

    def is_there(self, found: Found) -> bool:
        """Say whether a checkpoint is still published; a live run removes old ones beside its readers."""
        return catalog.is_published(self.backend, found.name)

    def source(self, manifest: Manifest, io: IO = DEFAULT) -> Source:
        """Open a checkpoint's leaves for verified reading."""
        from outlast.store.reading import Source

        return Source(self.backend, manifest, io)

    def load(self, path: str, step: int | str | None = None, *, mmap: bool = False) -> NDArray[Any]:
        """Return one leaf as a NumPy array. Only its bytes are read, and each is checked.

        Args:
            path: its name, as `outlast show` says it: ``model/fc.weight``.
            step: of which checkpoint: a step or a name. None: of the newest that is good; a damaged one is passed over
                with a RuntimeWarning.
            mmap: look into the file instead of copying. All is checked once, before this returns; what becomes of
                the storage later is not noticed (and an error of the disk then ends the process). The file's blocks
                stay as long as the array does, also when the checkpoint is pruned. A leaf that does not lie in one
                piece is read as without.

        Returns:
            An array of the saved dtype and shape, little endian, in C order; read-only with `mmap`. Strings and bytes
            are arrays of uint8; bfloat16 and float8 are those of ml_dtypes.

        Raises:
            NothingError: there is no such leaf, or no checkpoint.
            DamageError: no good one is left, or that which `step` names is damaged.
            UsageError: NumPy is missing, or ml_dtypes where the dtype is of it.
        """
        try:
            from outlast.store import loading
        except ImportError as e:
            if e.name is None or e.name.partition(".")[0] != "numpy":
                raise
            hint = "pip install numpy; or take its bytes: store.source(store.newest()).read(path)"
            raise UsageError("to load a leaf as an array needs NumPy, which is not installed", hint=hint) from None
        return loading.load(self, path, step, mmap=mmap)

    def find(self, wanted: str | None) -> CheckpointName:
        """Return the checkpoint that a person means: a name, a step number, or None for the newest."""
        found = self.checkpoints()
        if not found:
            raise NothingError(f"there is no checkpoint in {self.path}")
        if wanted is None:
            return found[0]
        named = CheckpointName.parse(wanted.rstrip("/"))
        matches = [n for n in found if n == named or (wanted.isdecimal() and n.step == int(wanted))]
        if not matches:
            names = ", ".join(n.format() for n in found[:5])
            raise NothingError(f"no checkpoint {wanted} in {self.path}; there are {names}", hint="see: outlast ls")
        return matches[0]

    @told
    def attempts(self, *, metrics: bool = False) -> tuple[AttemptLog, ...]:
        """Read all journals, oldest attempt first. A journal that cannot be read counts as one damaged line."""
        logs = []
        for number in journals.attempts(self.backend):
            try:
                logs.append(journals.read(self.backend, number, metrics=metrics))
            except (DamageError, StorageError, FileNotFoundError):
                logs.append(AttemptLog(attempt=number, events=(), damaged=1))
        return tuple(logs)

    def jobs(self) -> tuple[JobLog, ...]:
        """Read the records of the jobs that the run was placed in, in that order."""
        return job_logs(self.backend)

    def quarantined(self) -> tuple[str, ...]:
        """Return the names of what was moved to quarantine."""
        return tuple(entry.name for entry in self.backend.list(QUARANTINE))

    @told
    def claim(
        self,
        *,
        role: str = "run",
        takeover: bool = False,
        identity: host.Identity | None = None,
        waiting: Waiting | None = None,
    ) -> Lease:
        """Become the run's next attempt and take stock of what older ones left. See `lease.claim`.

        Raises:
            BusyError: another attempt lives.
            UsageError: the directory is somebody else's, who was there first.
        """
        from outlast.backends import host
        from outlast.store import lease

        self.backend.guard()
        mine = identity or host.me()
        got = lease.claim(self.backend, self.clock, mine, store=self.id, role=role, takeover=takeover, waiting=waiting)
        with lease.ended_on_error(got):
            found = self.scan()
            expected = journals.acknowledged(self._recent(got.attempt)) | self._hidden(found, got.attempt)
            accepted = catalog.adoption(self.backend, found, got.attempt, expected)
            got.journal.record_twice(journals.ADOPT, checkpoints=accepted)  # what counts hangs on it
        return replace(got, adopted=frozenset(accepted), trust=self.trust)

    def _hidden(self, found: tuple[Found, ...], attempt: int) -> set[str]:
        """Return those among the directories that cannot be listed now which a journal calls saved."""
        blind = {one.name.format() for one in found if one.unreadable and one.name.attempt < attempt}
        if not blind:
            return set()
        logs = [journals.read(self.backend, number) for number in journals.attempts(self.backend) if number < attempt]
        return blind & journals.acknowledged(logs)

    def _recent(self, attempt: int) -> list[AttemptLog]:
        """Return the logs of the attempts before whose last saves a listing may not show yet."""
        from outlast.store.lease import STALE_S

        numbers = [number for number in journals.attempts(self.backend) if number < attempt][-_RECENT:]
        logs = []
        for number in numbers:
            last, now = self.backend.heartbeat(journal_path(number))
            if now - last < 2 * STALE_S:
                logs.append(journals.read(self.backend, number))
        return logs

    @told
    def live(self, *, probe: bool = False) -> host.Identity | None:
        """Return who writes to this run now, as far as can be told without waiting; None if nobody does.

        Of a writer on another node only the heartbeat is seen. A reader compares it with its own clock; with `probe`
        a file is made and removed, and the file system's clock decides.
        """
        numbers = journals.attempts(self.backend)
        if not numbers:
            return None
        from outlast.store import lease

        return lease.living(self.backend, self.clock, journals.read(self.backend, numbers[-1]), probe=probe)

    def newest(self) -> Manifest:
        """Return the newest manifest that counts. Raises as `find` and `manifest` do."""
        for _ in range(_LOOKS):
            with suppress(NothingError):  # a live run has removed it since it was listed: it has a newer one
                return self.manifest(self.find(None))
        return self.manifest(self.find(None))

    @told
    def request(self, kind: str, reason: str) -> Request:
        """Leave a request for the live run: `stop` (save and leave) or `save`."""
        if kind not in REQUESTS:
            raise UsageError(f"unknown request {kind!r}: expected one of {', '.join(REQUESTS)}")
        if self.live(probe=True) is None:
            raise NothingError(f"no run is alive on {self.path}", hint="see: outlast status")
        attempt = max(journals.attempts(self.backend), default=0)  # none, if somebody took the journals away
        try:
            self.backend.make_dir(CONTROL)
        except FileExistsError:
            pass
        else:
            self.backend.sync("")
        path = f"{CONTROL}/{kind}-{os.urandom(6).hex()}.json"
        self.backend.create(path, [json.dumps({"reason": reason, "attempt": attempt}).encode() + b"\n"])
        return Request(kind=kind, path=path, reason=reason, attempt=attempt)

    @told
    def requests(self) -> tuple[Request, ...]:
        """Return the requests that wait."""
        found = []
        for entry in self.backend.list(CONTROL):
            kind = entry.name.partition("-")[0]
            if kind in REQUESTS and entry.name.endswith(".json") and entry.kind == "file":
                found.append(self._request(kind, f"{CONTROL}/{entry.name}"))
        return tuple(found)

    def serve(self, request: Request) -> None:
        """Take a request away: it has been heard."""
        try:
            self.backend.remove(request.path)
        except FileNotFoundError:
            return

    def _request(self, kind: str, path: str) -> Request:
        """Read a request; it counts by being there, whatever stands in it."""
        try:
            told: Any = json.loads(read_whole(self.backend, path, 4096))
        except (ValueError, RecursionError, DamageError, FileNotFoundError):
            told = None
        told = told if isinstance(told, dict) else {}
        attempt = told.get("attempt")
        reason = str(told.get("reason", "request"))
        return Request(kind=kind, path=path, reason=reason, attempt=attempt if type(attempt) is int else 0)

    @told
    def _make(self) -> None:
        self.backend.make_root()
        self.warnings += self.backend.guard()
        names = {entry.name for entry in self.backend.list("")}
        is_used = any(CheckpointName.parse(name) for name in names) or journals.attempts(self.backend)
        if STORE not in names and not is_used:
            self.is_new = True
            self.backend.sync_parents()
            about = {"format": "outlast-store", "version": 1, "store": os.urandom(16).hex()}
            try:
                self.backend.create(STORE, [seal({**about, "created": iso(self.clock.wall())})])
            except FileExistsError:
                self.is_new = False  # another one made it at the same instant
            self.backend.sync("")

    def _identify(self) -> str:
        """Return the store's id. If outlast.json is lost, damaged or another store's, what else is here tells it."""
        problem, is_missing = "", False
        try:
            named = str(catalog.read_store(self.backend)["store"])
        except FileNotFoundError:
            problem, is_missing = f"{self.path} has no {STORE}", True
        except DamageError as e:
            problem = str(e)
        claimed = self._claimed_id()
        if not problem:
            if claimed in (None, named) or catalog.id_by_manifests(self.backend, self.trust) != claimed:
                return named
            problem = f"{STORE} says {named}, which is another store"
        told_id = claimed or catalog.id_by_manifests(self.backend, self.trust)
        if is_missing:
            with suppress(FileNotFoundError, DamageError):
                return str(catalog.read_store(self.backend)["store"])  # it was being made while we looked
        if told_id is None:
            if not self.backend.list(JOURNAL) and not catalog.scan(self.backend):
                hint = "name the directory that a run was given; it holds outlast.json and step-... directories"
                raise NothingError(f"{self.path} is not a store: {problem}", hint=hint)
            raise DamageError(problem, path=STORE)
        self.warnings.append(f"{problem}; the store's id was taken from what else is in it")
        return told_id

    def _claimed_id(self) -> str | None:
        """Return the store's id as the newest readable claim gives it."""
        for attempt in reversed(journals.attempts(self.backend)):
            try:
                line = journals.read_head(self.backend, attempt).first("claim")
            except (DamageError, FileNotFoundError):
                continue
            if line and isinstance(line.get("store"), str):
                return str(line["store"])
        return None
