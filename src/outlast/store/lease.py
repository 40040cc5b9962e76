"""One writer a run: claiming the next attempt, and noticing that a newer one has claimed.

Correctness rests on numbers claimed exclusively and judged by readers (`catalog`), never on clocks or locks.
Looking whether the last attempt still lives (process table, heartbeat) only decides between waiting, a clear
refusal and going on; if it errs, the older attempt is fenced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from outlast.backends import Posix, host
from outlast.clock import Clock
from outlast.errors import BusyError, FencedError, OutlastError, SpaceError, StorageError
from outlast.format.names import ATTEMPT_LIMIT, CheckpointName
from outlast.format.signing import WITHOUT_KEY, Trust
from outlast.store import journal as journals
from outlast.store.journal import AttemptLog, Journal
from outlast.store.layout import JOURNAL, journal_path, read_whole, told

HEARTBEAT_S = 10.0
SILENT_S = 60.0  # six heartbeats; also as long as NFS may show an old time stamp
STALE_S = 60.0  # how long a directory may look as it did before: spec, section 2
_POLL_S = 2.0
_TRIES = 100
RUN = "run"  # the role of an attempt that saves


class _Swept(Exception):  # noqa: N818  (what happened, not what is wrong)
    """A claim's temporary file was taken for an old one, by an attempt whose file system's clock had jumped."""


Waiting = Callable[[str, bool], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to write as attempt `attempt`, until a newer attempt claims.

    Args:
        attempt: its number.
        journal: its record.
        backend: the store's storage.
        clock: time.
        since_s: when it was claimed, by the monotonic clock.
        adopted: the checkpoints of older attempts that it took stock of.
        trust: how its manifests are signed, and which ones it believes.
    """

    attempt: int
    journal: Journal
    backend: Posix
    clock: Clock
    since_s: float
    adopted: frozenset[str] = frozenset()
    trust: Trust = WITHOUT_KEY

    @property
    def is_young(self) -> bool:
        """Whether listings may still be from before the claim: storage may show them for a minute."""
        return self.clock.monotonic() - self.since_s < STALE_S

    @told
    def check(self) -> None:
        """Look whether a newer attempt has claimed this run: from a fresh listing, never from memory.

        Raises:
            FencedError: it has.
            StorageError: our own claim is not there: this is not the store any more that we claimed.
        """
        claimed = journals.attempts(self.backend)
        if claimed and claimed[-1] > self.attempt:
            message = f"attempt {claimed[-1]} has taken over this run; attempt {self.attempt} must not write any more"
            raise FencedError(message, hint="nothing to do: the newer attempt goes on")
        if self.attempt not in claimed:
            message = f"{self.backend.root}: the journal of this attempt ({self.attempt}) is gone"
            raise StorageError(message, hint="was the store moved, removed or unmounted?")

    @told
    def beat(self) -> None:
        """Show that this attempt lives; call it every HEARTBEAT_S."""
        self.journal.touch()

    @told
    def end(self, outcome: str, **fields: str | int) -> None:
        """Record how this attempt ended, and let the next one claim at once."""
        try:
            self.journal.record("ended", sync=True, outcome=outcome, **fields)
        finally:
            self.journal.close()


def claim(
    backend: Posix,
    clock: Clock,
    identity: host.Identity,
    *,
    store: str,
    role: str = RUN,
    takeover: bool = False,
    waiting: Waiting | None = None,
) -> Lease:
    """Claim the next attempt of a run.

    Args:
        backend: the store's storage.
        clock: for the time stamp and for waiting.
        identity: this process.
        store: the store's id, repeated in the claim.
        role: what the attempt is for: `run`, or a verb of the command line.
        takeover: do not ask whether the last attempt lives; it is fenced from now on.
        waiting: told who is watched for a sign of life, and whether for the first time, before each further wait; what
            it raises goes through.

    Raises:
        BusyError: the last attempt still lives, or another one was quicker.
    """
    _make_journal(backend)
    for _ in range(_TRIES):
        newest = max(journals.attempts(backend), default=0)
        if newest and not takeover:
            _await_end(backend, clock, identity, journals.read(backend, newest), waiting or _no_matter)
        number = 1 + max(newest, _newest_directory(backend))
        if number >= ATTEMPT_LIMIT:
            raise StorageError(f"{backend.root}: attempt {number} cannot be claimed; is a directory there misnamed?")
        if max(journals.attempts(backend), default=0) != newest:
            continue  # somebody claimed meanwhile: judge again, by them
        path = journal_path(number)
        fields = {"store": store, "attempt": number, "role": role, **identity.record()}
        line = journals.line(0, clock, "claim", fields)
        try:
            backlog = _create(backend, path, line, needs_room=role == RUN)
            backend.sync(JOURNAL)
            journal = Journal(backend.appender(path, holds=b"" if backlog else line), clock, seq=1, backlog=backlog)
        except FileExistsError:
            if max(journals.attempts(backend), default=0) < number:
                clock.sleep(_POLL_S)  # the listing is from before that claim: it shows it within a minute
            continue  # somebody else was quicker: judge again, by them
        except _Swept:
            _make_journal(backend)
            continue
        except (OutlastError, FileNotFoundError):
            _disown(backend, clock, path, line)
            raise
        return Lease(attempt=number, journal=journal, backend=backend, clock=clock, since_s=clock.monotonic())
    raise StorageError(f"{backend.root}: no attempt could be claimed in {_TRIES} tries")


def living(backend: Posix, clock: Clock, log: AttemptLog, *, probe: bool = False) -> host.Identity | None:
    """Return who writes as the attempt of `log` now, as far as can be told without waiting; None if nobody does.

    `probe`: the file system's clock decides about a heartbeat, for which a file is made and removed; else a reader's.
    """
    claim_line = log.first("claim")
    owner = host.from_record(claim_line) if claim_line else None
    if log.last("ended") or owner is None:
        return None
    alive = host.is_alive(owner, host.me())
    if alive is None:
        path = journal_path(log.attempt)
        last, now = backend.heartbeat(path) if probe else (backend.modified(path), clock.wall())
        alive = abs(now - last) < SILENT_S  # ahead of its clock by more, a heartbeat is from before a jump
    return owner if alive else None


def _disown(backend: Posix, clock: Clock, path: str, line: bytes) -> None:
    """End a claim that was published though making it failed: else it would lock out the next one."""
    with suppress(OutlastError, FileNotFoundError):  # the first error is the one to see; at worst the next one waits
        if read_whole(backend, path) == line:
            Journal(backend.appender(path, holds=line), clock, seq=1).record("ended", outcome="failed")


@contextmanager
def ended_on_error(lease: Lease) -> Iterator[None]:
    """Record that an attempt ended if what follows its claim fails: else it would lock out the next one."""
    try:
        yield
    except (OutlastError, FileNotFoundError):
        with suppress(OutlastError):  # the first error is the one to see; at worst the next attempt waits
            lease.end("failed")
        raise


def _make_journal(backend: Posix) -> None:
    """Make the journals' directory; where it is there, who made it may have been killed before it was durable."""
    if all(entry.name != JOURNAL for entry in backend.list("")):
        with suppress(FileExistsError):
            backend.make_dir(JOURNAL)
    backend.sync("")


def _create(backend: Posix, path: str, line: bytes, *, needs_room: bool) -> bytes:
    """Make a journal; return what of it had no room.

    Who only removes must be able to on a full disk: an empty file is a claim too, its line follows.
    """
    try:
        backend.create(path, [line])
    except FileNotFoundError as e:
        raise _Swept from e
    except SpaceError:
        if needs_room:
            raise
        _create_empty(backend, path)
        return line
    return b""


def _create_empty(backend: Posix, path: str) -> None:
    try:
        backend.create(path, [])
    except SpaceError as e:
        hint = "to prune takes an inode or two for a moment: remove a file that is not in the store first"
        raise SpaceError(e.args[0], hint=hint) from e


def _newest_directory(backend: Posix) -> int:
    names = (CheckpointName.parse(entry.name) for entry in backend.list(""))
    return max((name.attempt for name in names if name), default=0)


def _no_matter(owner: str, is_first: bool) -> None:  # noqa: FBT001  (a callback)
    del owner, is_first


def _await_end(backend: Posix, clock: Clock, mine: host.Identity, log: AttemptLog, waiting: Waiting) -> None:
    """Return when the attempt of `log` is over; raise BusyError if it lives."""
    if log.last("ended"):
        return
    claim_line = log.first("claim")
    owner = host.from_record(claim_line) if claim_line else None
    if owner and _is_requeued(owner, mine):
        return
    alive = host.is_alive(owner, mine) if owner else None
    who = f"process {owner.pid} on {owner.host}" if owner else "an unknown process"
    if alive is None:
        alive = _is_heard(backend, clock, journal_path(log.attempt), lambda is_first: waiting(who, is_first))
    if alive:
        message = f"attempt {log.attempt} of this run still lives: {who} writes to {backend.root}"
        hint = "wait for it, or end it: outlast stop STORE (it saves first), or kill that process"
        raise BusyError(message, hint=hint)


def _is_requeued(owner: host.Identity, mine: host.Identity) -> bool:
    """The scheduler itself started us in its place: no need to wait for the silence of the old one."""
    return bool(mine.job) and owner.job == mine.job and mine.restart > owner.restart


def _is_heard(backend: Posix, clock: Clock, path: str, waiting: Callable[[bool], None]) -> bool:
    """Watch a heartbeat until it moves (True) or has been silent for SILENT_S (False)."""
    first, now = backend.heartbeat(path)
    waited = 0.0
    while waited < SILENT_S and now - first < SILENT_S:
        waiting(waited == 0.0)
        clock.sleep(_POLL_S)
        waited += _POLL_S
        last, now = backend.heartbeat(path)
        if last != first:
            return True
    return False
