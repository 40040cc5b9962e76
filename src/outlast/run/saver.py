"""Saving behind the loop: capture now, write in one other thread, one save in flight, its error raised later."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

from outlast.backends import Spare
from outlast.capture import Outline, Pool, Snapshot, leave, snapshot
from outlast.capture.crew import CREW
from outlast.clock import Clock, iso
from outlast.errors import DamageError, FencedError, OutlastError, SpaceError
from outlast.format.model import Node
from outlast.policy import retention
from outlast.run.control import Control
from outlast.run.events import Events
from outlast.run.scribe import Job, Scribe
from outlast.store import Committed, Draft, Held, Pruner, Store
from outlast.units import format_size

_REMEMBERED = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Where the loop stands at a boundary, beside the state itself."""

    step: int
    position: Node
    metrics: dict[str, float]
    done: bool = False


class Commits(Protocol):
    """What writes: a `Writer`, or what has a part in one of several ranks."""

    @property
    def has_spare(self) -> bool: ...

    def commit(self, draft: Draft) -> Committed: ...

    def refuse(self, step: int, error: OutlastError) -> None:
        """Tell whoever else takes part that a save cannot begin here."""
        ...

    def agrees(self, once_more: bool) -> bool:  # noqa: FBT001  (a fact, not a switch)
        """Return whether a save is tried once more, as all who take part have it."""
        ...

    def hurry(self) -> None: ...

    def overwrite(self, spare: Spare | None) -> None: ...

    def close(self) -> None: ...


class Saver:
    """Takes snapshots in the loop's thread and commits them in its own.

    Args:
        store: the run's store.
        writer: this attempt's.
        pruner: this attempt's; None where another rank prunes.
        keep: the retention.
        events: where commits are told.
        control: the supervisor's folder, if there is one.
        flush: brings the metrics logged so far to the journal, before each commit.
        began: how the state began: what a restart could not put back is refused at the save.
        memory_bytes: the most that a copy of the state may take; None: as much as is left.

        forks: leave the copy to a forked child, where that is safe.

    Attributes:
        blocked_s: how long the last saves held the loop up.
        latency_s: how long they took until durable.
        pool: the memory of the snapshots.
    """

    def __init__(
        self,
        *,
        store: Store,
        writer: Commits,
        pruner: Pruner | None,
        keep: retention.Keep,
        events: Events,
        control: Control | None,
        flush: Callable[[], None],
        began: Outline | None = None,
        memory_bytes: int | None = None,
        forks: bool = False,
    ) -> None:
        self.blocked_s: deque[float] = deque(maxlen=_REMEMBERED)
        self.latency_s: deque[float] = deque(maxlen=_REMEMBERED)
        self.last: Committed | None = None
        self._store, self._writer, self._pruner, self._keep = store, writer, pruner, keep
        self._events, self._control, self._flush = events, control, flush
        self._began = began
        self._clock: Clock = store.clock
        self.pool = Pool(memory_bytes, is_private=not forks)
        self._forks = forks
        self._said: set[str] = set()
        self._is_swept = False  # of what killed attempts left
        self._scribe = Scribe[Committed]("outlast-saver")
        self._pending: Job[Committed] | None = None

    def prepare(self) -> None:
        """Have the memory of the first snapshot made ready, beside the loop. A restore wants it all for itself."""
        if self._began:
            with suppress(MemoryError):  # the first save will say it
                self.pool.prepare(self._began.size_bytes)

    @property
    def busy(self) -> bool:
        """Whether a save is on its way to storage."""
        return self._pending is not None and not self._scribe.has_ended(self._pending)

    def start(self, state: Mapping[str, Any], moment: Moment) -> None:
        """Capture the state and hand it over. Waits for the save before it, and raises that one's error.

        Raises:
            CaptureError: the state cannot be captured.
            OutlastError: the save before this one failed, or there is no memory for this one.
        """
        self.wait()
        try:
            with _memory_told():
                self._hand_over(state, moment)
        except OutlastError as e:
            self._writer.refuse(moment.step, e)
            raise

    def _hand_over(self, state: Mapping[str, Any], moment: Moment) -> None:
        began = self._clock.monotonic()
        began_with = None if moment.done else self._began
        taken = snapshot(state, self.pool, began_with, overlaps=True, may_be_live=True, by_fork=self._forks)
        if taken.copied_because:
            self._say_once("fork", f'snapshot="fork" is not used: {taken.copied_because}')
        if taken.live_because:
            self._say_once("live", f"{taken.live_because}: the loop waits while its state is saved")
        self._pending = self._scribe.start(lambda: self._persist(self._draft(taken, moment), began))
        if taken.live_because:
            self._hold_up(self._pending)
        self.blocked_s.append(self._clock.monotonic() - began)

    def _draft(self, taken: Snapshot, moment: Moment) -> Draft:
        try:
            whole = taken.finished()
        except OutlastError:
            self._forks = False  # the next ones are copied by the loop's own thread
            raise
        return Draft(
            step=moment.step,
            tree=whole.tree,
            leaves=whole.leaves,
            position=moment.position,
            metrics=moment.metrics,
            done=moment.done,
            number=whole.number,
            since=whole.since,
            changed=whole.changed,
        )

    def _say_once(self, what: str, text: str) -> None:
        if what not in self._said:
            self._said.add(what)
            self._events.warn(text)

    def _hold_up(self, pending: Job[Committed]) -> None:
        """Wait until live memory is written: nobody may go on and change it meanwhile, whatever breaks in here."""
        try:
            self.wait()
        finally:
            while not self._scribe.has_ended(pending):
                self._scribe.look(pending)

    def error(self) -> OutlastError | None:
        """Return the error of a save that has ended, once; None if all is well or still under way. Takes no lock."""
        if self._pending is None or not self._pending.has_ended:
            return None
        try:
            self.wait()
        except OutlastError as e:
            return e
        return None

    def wait(self) -> Committed | None:
        """Wait for the save in flight and return the last committed one. Raises its error."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            with _memory_told():
                self._scribe.result(pending)
        return self.last

    def hurry(self) -> None:
        """Lift the limit of the rate, of the save in flight too: the attempt is about to end."""
        self._writer.hurry()

    def close(self) -> None:
        """Let the save in flight end, whatever comes of it, and end the threads. Gives the memory back."""
        self._scribe.close()
        CREW.dismiss()
        leave(self.pool)
        self.pool.clear()
        try:
            self._writer.close()
        except OutlastError as e:
            self._events.warn(f"the space of a pruned checkpoint is not free yet: {e}")

    def _persist(self, draft: Draft, began_s: float) -> Committed:
        try:
            self._flush()
        except OutlastError as e:
            self._events.warn(f"metrics could not be recorded now: {e}")
        committed = self._commit(draft)
        self.last = committed
        self.latency_s.append(self._clock.monotonic() - began_s)
        self._report(committed, draft)
        self._prune(committed)
        return committed

    def _commit(self, draft: Draft) -> Committed:
        """Commit; where there is no room, take away what is not needed, and try once more."""
        had_spare = self._writer.has_spare  # it is given back where there is no room
        try:
            return self._writer.commit(draft)
        except SpaceError:
            has_swept = not self._is_swept and self._sweep()
            if not self._writer.agrees(had_spare or has_swept):
                raise
        return self._writer.commit(draft)

    def _sweep(self) -> bool:
        self._is_swept = True
        if self._pruner is None:
            return False
        try:
            self._pruner.remove(())
            self._writer.overwrite(self._pruner.spare())
        except FencedError:
            raise
        except (OutlastError, FileNotFoundError, FileExistsError):
            return False  # the refusal of the save is on its way up and says more
        return True

    def _report(self, committed: Committed, draft: Draft) -> None:
        name = committed.name
        if self._control:
            at = iso(self._clock.wall())
            self._control.progress(store=self._store.path, attempt=name.attempt, step=name.step, done=draft.done, at=at)
        self._events.tell(
            "committed",
            f"committed step {name.step} ({format_size(committed.written_bytes)} in {committed.seconds_s:.2f} s)",
            step=name.step,
            checkpoint=name.format(),
            done=draft.done,
            written_bytes=committed.written_bytes,
            seconds=round(committed.seconds_s, 6),
        )

    def _prune(self, committed: Committed) -> None:
        """Remove what retention does not keep. Trouble here does not undo the commit: it is said, and tried again."""
        if self._pruner is None:
            return
        try:
            self._pruner.learn(committed.manifest, committed.manifest_bytes, is_durable=True)
            counted, _ = self._pruner.look()
            decision = retention.decide(
                self._keep, [as_held(one, True if one.name == committed.name else None) for one in counted]
            )
            names = {one.name.format(): one.name for one in counted}
            self._pruner.remove([names[n] for n in decision.remove])
            self._is_swept = True
            self._writer.overwrite(self._pruner.spare())
        except FencedError:
            raise
        except (OutlastError, FileNotFoundError, FileExistsError) as e:
            what = (
                "outlast verify says what is damaged, outlast prune --quarantine sets it aside when the run has ended"
            )
            self._events.warn(f"nothing was pruned: {e}{f'; {what}' if isinstance(e, DamageError) else ''}")


@contextmanager
def _memory_told() -> Iterator[None]:
    """Say of a save that has no memory what is said of one that has no disk: it failed, the run may go on."""
    try:
        yield
    except MemoryError as e:
        message = f"out of memory while saving{f': {e}' if str(e) else ''}"
        raise OutlastError(message, hint="a save needs room for one more copy of the state") from e


def as_held(one: Held, good: bool | None) -> retention.Held:  # noqa: FBT001  (a fact, not a switch)
    """Translate what the store says of a checkpoint into retention's terms. `good`: None if nobody knows."""
    return retention.Held(
        name=one.name.format(),
        step=one.name.step,
        files=one.files,
        metrics=one.metrics,
        good=good,
        done=one.done,
    )


def median(values: deque[float]) -> float | None:
    """Return the median, or None before the first value."""
    return statistics.median(values) if values else None
