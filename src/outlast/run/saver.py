"""Saving behind the loop: capture now, write in one other thread, one save in flight, its error raised later."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from outlast.capture import Outline, Pool, snapshot
from outlast.clock import Clock, iso
from outlast.errors import DamageError, FencedError, OutlastError
from outlast.format.model import Node
from outlast.policy import retention
from outlast.run.control import Control
from outlast.run.events import Events
from outlast.store import Committed, Draft, Held, Pruner, Store, Writer
from outlast.units import format_size

_REMEMBERED = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Where the loop stands at a boundary, beside the state itself."""

    step: int
    position: Node
    metrics: dict[str, float]
    done: bool = False


class Saver:
    """Takes snapshots in the loop's thread and commits them in its own.

    Args:
        store: the run's store.
        writer: this attempt's.
        pruner: this attempt's.
        keep: the retention.
        events: where commits are told.
        control: the supervisor's folder, if there is one.
        flush: brings the metrics logged so far to the journal, before each commit.
        began: how the state began: what a restart could not put back is refused at the save.

    Attributes:
        blocked_s: how long the last saves held the loop up.
        latency_s: how long they took until durable.
        pool: the memory of the snapshots.
    """

    def __init__(
        self,
        *,
        store: Store,
        writer: Writer,
        pruner: Pruner,
        keep: retention.Keep,
        events: Events,
        control: Control | None,
        flush: Callable[[], None],
        began: Outline | None = None,
    ) -> None:
        self.blocked_s: deque[float] = deque(maxlen=_REMEMBERED)
        self.latency_s: deque[float] = deque(maxlen=_REMEMBERED)
        self.last: Committed | None = None
        self._store, self._writer, self._pruner, self._keep = store, writer, pruner, keep
        self._events, self._control, self._flush = events, control, flush
        self._began = began
        self._clock: Clock = store.clock
        self.pool = Pool()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="outlast-saver")
        self._pending: Future[Committed] | None = None

    @property
    def busy(self) -> bool:
        """Whether a save is on its way to storage."""
        return self._pending is not None and not self._pending.done()

    def start(self, state: Mapping[str, Any], moment: Moment) -> None:
        """Capture the state and hand it over. Waits for the save before it, and raises that one's error.

        Raises:
            CaptureError: the state cannot be captured.
            OutlastError: the save before this one failed.
        """
        self.wait()
        began = self._clock.monotonic()
        taken = snapshot(state, self.pool, None if moment.done else self._began)
        draft = Draft(
            step=moment.step,
            tree=taken.tree,
            leaves=taken.leaves,
            position=moment.position,
            metrics=moment.metrics,
            done=moment.done,
        )
        self.blocked_s.append(self._clock.monotonic() - began)
        self._pending = self._thread.submit(self._persist, draft, began)

    def error(self) -> OutlastError | None:
        """Return the error of a save that has ended, once; None if all is well or still under way."""
        if self._pending is None or not self._pending.done():
            return None
        done, self._pending = self._pending, None
        error = done.exception()
        if error is None or isinstance(error, OutlastError):
            return error
        raise error  # a mistake of ours, or MemoryError: not to be taken for a storage error

    def wait(self) -> Committed | None:
        """Wait for the save in flight and return the last committed one. Raises its error."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()
        return self.last

    def close(self) -> None:
        """Let the save in flight end, whatever comes of it, and end the thread."""
        self._thread.shutdown(wait=True)

    def _persist(self, draft: Draft, began_s: float) -> Committed:
        try:
            self._flush()
        except OutlastError as e:
            self._events.warn(f"metrics could not be recorded now: {e}")
        committed = self._writer.commit(draft)
        self.last = committed
        self.latency_s.append(self._clock.monotonic() - began_s)
        self._report(committed, draft)
        self._prune(committed)
        return committed

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
        try:
            self._pruner.learn(committed.manifest, committed.manifest_bytes)
            counted, _ = self._pruner.look()
            decision = retention.decide(
                self._keep, [as_held(one, True if one.name == committed.name else None) for one in counted]
            )
            names = {one.name.format(): one.name for one in counted}
            self._pruner.remove([names[n] for n in decision.remove])
        except FencedError:
            raise
        except (OutlastError, FileNotFoundError, FileExistsError) as e:
            what = (
                "outlast verify says what is damaged, outlast prune --quarantine sets it aside when the run has ended"
            )
            self._events.warn(f"nothing was pruned: {e}{f'; {what}' if isinstance(e, DamageError) else ''}")


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
