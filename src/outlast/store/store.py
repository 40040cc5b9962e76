"""The store of one run: opening or making it, what is in it, who may write. A thin front over its neighbours."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass, replace
from typing import Any

from outlast.backends import Posix, Syscalls, host, mounts
from outlast.clock import SYSTEM, Clock, iso
from outlast.errors import DamageError, NothingError, StorageError, UsageError
from outlast.format.envelope import seal
from outlast.format.model import Manifest
from outlast.format.names import CheckpointName
from outlast.store import catalog, lease
from outlast.store import journal as journals
from outlast.store.catalog import ADOPT, Found
from outlast.store.journal import AttemptLog
from outlast.store.layout import CONTROL, JOURNAL, QUARANTINE, STORE, journal_path, read_whole
from outlast.store.lease import Lease
from outlast.store.reading import Source

REQUESTS = ("stop", "save")
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

    Attributes:
        id: the store's identity, 32 hex digits, repeated in all that it holds.
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
        if create:
            self._make()
        elif not self.backend.exists():
            raise NothingError(f"there is no store at {self.path}", hint="name the store, or set OUTLAST_STORE")
        self.id = self._identify()
        note = mounts.warning(mounts.find(self.path), self.path, in_job=mounts.in_batch_job())
        if note:
            self.warnings.append(note)

    def checkpoints(self) -> tuple[CheckpointName, ...]:
        """Return the checkpoints that count, newest first."""
        return tuple(f.name for f in catalog.scan(self.backend) if f.counts)

    def scan(self) -> tuple[Found, ...]:
        """Return every checkpoint directory, newest first: uncommitted and fenced ones too."""
        return catalog.scan(self.backend)

    def manifest(self, name: CheckpointName) -> Manifest:
        """Read a checkpoint's manifest. Raises NothingError, DamageError, StorageError."""
        return self.load(name)[0]

    def load(self, name: CheckpointName) -> tuple[Manifest, int]:
        """Read a checkpoint's manifest; return it and its size in bytes. Raises as `manifest` does."""
        for found in catalog.scan(self.backend):
            if found.name == name and found.committed:
                return self.read(found)
        raise NothingError(f"there is no checkpoint {name.format()} in {self.path}", hint="see: outlast ls")

    def read(self, found: Found) -> tuple[Manifest, int]:
        """As `load`, of a checkpoint that `scan` gave: without listing all of them again."""
        return catalog.load_manifest(self.backend, found, self.id)

    def is_there(self, found: Found) -> bool:
        """Say whether a checkpoint is still published; a live run removes old ones beside its readers."""
        return catalog.is_published(self.backend, found.name)

    def source(self, manifest: Manifest) -> Source:
        """Open a checkpoint's leaves for verified reading."""
        return Source(self.backend, manifest)

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

    def attempts(self, *, metrics: bool = False) -> tuple[AttemptLog, ...]:
        """Read all journals, oldest attempt first. A journal that cannot be read counts as one damaged line."""
        logs = []
        for number in journals.attempts(self.backend):
            try:
                logs.append(journals.read(self.backend, number, metrics=metrics))
            except (DamageError, StorageError, FileNotFoundError):
                logs.append(AttemptLog(attempt=number, events=(), damaged=1))
        return tuple(logs)

    def quarantined(self) -> tuple[str, ...]:
        """Return the names of what was moved to quarantine."""
        return tuple(entry.name for entry in self.backend.list(QUARANTINE))

    def claim(
        self,
        *,
        role: str = "run",
        takeover: bool = False,
        identity: host.Identity | None = None,
        waiting: lease.Waiting | None = None,
    ) -> Lease:
        """Become the run's next attempt and take stock of what older ones left. See `lease.claim`.

        Raises:
            BusyError: another attempt lives.
        """
        mine = identity or host.me()
        got = lease.claim(self.backend, self.clock, mine, store=self.id, role=role, takeover=takeover, waiting=waiting)
        with lease.ended_on_error(got):
            expected = journals.acknowledged(self._recent(got.attempt))
            accepted = catalog.adoption(self.backend, catalog.scan(self.backend), got.attempt, expected)
            got.journal.record(ADOPT, checkpoints=accepted)
        return replace(got, adopted=frozenset(accepted))

    def _recent(self, attempt: int) -> list[AttemptLog]:
        """Return the logs of the attempts before whose last saves a listing may not show yet."""
        numbers = [number for number in journals.attempts(self.backend) if number < attempt][-_RECENT:]
        logs = []
        for number in numbers:
            last, now = self.backend.heartbeat(journal_path(number))
            if now - last < 2 * lease.STALE_S:
                logs.append(journals.read(self.backend, number))
        return logs

    def live(self, *, probe: bool = False) -> host.Identity | None:
        """Return who writes to this run now, as far as can be told without waiting; None if nobody does.

        Of a writer on another node only the heartbeat is seen. A reader compares it with its own clock; with `probe`
        a file is made and removed, and the file system's clock decides.
        """
        numbers = journals.attempts(self.backend)
        if not numbers:
            return None
        log = journals.read(self.backend, numbers[-1])
        claim_line = log.first("claim")
        owner = host.from_record(claim_line) if claim_line else None
        if log.last("ended") or owner is None:
            return None
        alive = host.is_alive(owner, host.me())
        if alive is None:
            path = journal_path(log.attempt)
            last, now = self.backend.heartbeat(path) if probe else (self.backend.modified(path), self.clock.wall())
            alive = now - last < lease.SILENT_S
        return owner if alive else None

    def request(self, kind: str, reason: str) -> Request:
        """Leave a request for the live run: `stop` (save and leave) or `save`."""
        if kind not in REQUESTS:
            raise UsageError(f"unknown request {kind!r}: expected one of {', '.join(REQUESTS)}")
        if self.live(probe=True) is None:
            raise NothingError(f"no run is alive on {self.path}", hint="see: outlast status")
        attempt = max(journals.attempts(self.backend))
        try:
            self.backend.make_dir(CONTROL)
        except FileExistsError:
            pass
        else:
            self.backend.sync("")
        path = f"{CONTROL}/{kind}-{secrets.token_hex(6)}.json"
        self.backend.create(path, [json.dumps({"reason": reason, "attempt": attempt}).encode() + b"\n"])
        return Request(kind=kind, path=path, reason=reason, attempt=attempt)

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

    def _make(self) -> None:
        self.backend.make_root()
        names = {entry.name for entry in self.backend.list("")}
        is_used = any(CheckpointName.parse(name) for name in names) or journals.attempts(self.backend)
        if STORE not in names and not is_used:
            self.is_new = True
            self.backend.sync_parent()
            about = {"format": "outlast-store", "version": 1, "store": secrets.token_hex(16)}
            try:
                self.backend.create(STORE, [seal({**about, "created": iso(self.clock.wall())})])
            except FileExistsError:
                self.is_new = False  # another one made it at the same instant
            self.backend.sync("")

    def _identify(self) -> str:
        try:
            return str(catalog.read_store(self.backend)["store"])
        except FileNotFoundError:
            problem = f"{self.path} has no {STORE}"
        except DamageError as e:
            problem = str(e)
        told = self._claimed_id() or catalog.id_by_manifests(self.backend)
        if told is None:
            if not self.backend.list(JOURNAL) and not catalog.scan(self.backend):
                hint = "name the directory that a run was given; it holds outlast.json and step-... directories"
                raise NothingError(f"{self.path} is not a store: {problem}", hint=hint) from None
            raise DamageError(problem, path=STORE)
        self.warnings.append(f"{problem}; the store's id was taken from what else is in it")
        return told

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
