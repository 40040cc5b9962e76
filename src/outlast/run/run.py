"""`outlast.Run`: what a user's program holds. Its parts do the work; here they meet at each step boundary."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, MutableMapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import TracebackType
from typing import Any, Literal, Self

from outlast import capture
from outlast.clock import SYSTEM, Clock
from outlast.errors import BusyError, CaptureError, FencedError, OutlastError, Preempted, UsageError
from outlast.policy.retention import Keep, parse_keep
from outlast.run import control as controls
from outlast.run import exits
from outlast.run.events import Events
from outlast.run.iterables import resume
from outlast.run.keeper import Keeper
from outlast.run.loader import WorkersGone
from outlast.run.metrics import Metrics
from outlast.run.notice import Notice
from outlast.run.position import Loop, Positions
from outlast.run.restore import finished, restore
from outlast.run.saver import Moment, Saver
from outlast.run.schedule import Schedule
from outlast.run.shield import shielded
from outlast.store import SILENT_S, Committed, Lease, Pruner, Store, Writer
from outlast.units import format_duration, format_size, whole

_MAX_LEAN = 8


class Run:
    """A computation that outlives the process that runs it.

    Entering refills `state` from the newest checkpoint that verifies; the loops go on where they were; the
    state is saved now and then behind the loop, on notice, and at the end, which is marked done.

    Args:
        store: directory on storage that outlives the job; made if missing. One run, one store.
        state: a dict of live objects by name. Values that cannot change in place (numbers, strings) are put
            back into this dict itself.
        every: how often to save: "10min", a number of steps, or "auto": what loses the least time, at an overhead of
            at most 2 %; "5%" allows more. OUTLAST_MTBF ("6h") says how often this partition interrupts without
            notice; else that is learned.
        keep: which checkpoints to keep: the newest so many, or an `outlast.Keep`.
        allow: patterns of leaf names that may be missing, extra or of another shape at restore.
        on_error: "stop" raises a failed save at the next boundary; "warn" says it and goes on.
        deadline: seconds since the epoch at which this process will be killed; None takes OUTLAST_DEADLINE. One that
            is over already is not used, with a warning.
        takeover: claim the run though its last attempt may live (it is fenced). Also OUTLAST_TAKEOVER=1.
        clock: a seam for tests.

    Raises (on entering, each with an exit status if nothing catches it):
        CaptureError: a part of the state cannot be captured; names it. Status 2.
        MismatchError: the checkpoint does not fit the state; names the leaves. Status 2.
        DamageError: there were checkpoints, none is good. Status 3.
        BusyError: another attempt of this run lives. Status 5.
        SystemExit: with status 0, if the run is already done. With OUTLAST_REOPEN=1 it goes on instead, where an
            outermost loop has more passes than it had.
    """

    def __init__(
        self,
        store: str | os.PathLike[str],
        state: MutableMapping[str, Any],
        *,
        every: str | int = "auto",
        keep: int | Keep = 3,
        allow: Collection[str] = (),
        on_error: Literal["stop", "warn"] = "stop",
        deadline: float | None = None,
        takeover: bool = False,
        clock: Clock = SYSTEM,
    ) -> None:
        exits.install()
        if on_error not in ("stop", "warn"):
            raise UsageError(f"on_error={on_error!r}: expected 'stop' or 'warn'")
        if not isinstance(state, MutableMapping):
            raise UsageError(f"state is a {type(state).__name__}, expected a dict of name -> object")
        self._path, self._state, self._allow, self._on_error = os.fspath(store), state, allow, on_error
        self._keep = parse_keep(keep)
        self._clock = clock
        self._events = Events(clock)
        self._notice = Notice()
        self._positions = Positions(warn=self._events.warn)
        self._schedule = Schedule(every, deadline=deadline, clock=clock, warn=self._events.warn)
        self._takeover = takeover or os.environ.get("OUTLAST_TAKEOVER") == "1"
        self._wanted = False
        self._broken_off: OutlastError | Preempted | None = None
        self._rewind: capture.Rewind | None = None
        self._entered = False
        self._pid = os.getpid()
        self.restored: capture.Report | None = None

    # -- what there is to know ---------------------------------------------------------------------------

    @property
    def step(self) -> int:
        """Steps completed so far, over all attempts."""
        return self._positions.steps_done

    @property
    def attempt(self) -> int:
        """The number of this process among those that worked on the run, from 1."""
        return self._lease.attempt

    @property
    def store(self) -> Store:
        """The store."""
        return self._store

    # -- loops -------------------------------------------------------------------------------------------

    def steps(self, total: int) -> Iterator[int]:
        """Yield the steps from the first undone one to `total` - 1. Each pass ends in a boundary."""
        return self.range(total, "step")

    def range(self, total: int, name: str) -> Iterator[int]:
        """Like `range(total)`, going on where it was. Loops nest; each needs its own name."""
        passes = whole("total", total)
        with self._remembering(), self._enter(name, passes) as loop:
            for index in range(loop.start, loop.total or 0):
                yield index
                self._completed(loop)

    def iterate(self, source: Iterable[Any], name: str) -> Iterator[Any]:
        """Iterate over `source` from where the loop was: same order, nothing twice, nothing skipped.

        Sequences and PyTorch loaders are entered in the middle without reading what was seen; objects with
        `state_dict` are asked to; other iterables are read and skipped, with a warning.
        """
        with self._remembering(), self._enter(name, None) as loop:
            items = resume(source, loop, notice_pending=self._is_leaving, warn=self._events.warn)
            while True:
                try:
                    item = next(items)
                except StopIteration:
                    return
                except WorkersGone as e:
                    self._leave(self._notice.reason or str(e))
                yield item
                self._completed(loop)

    # -- the explicit form -------------------------------------------------------------------------------

    def due(self) -> bool:
        """Say whether now is a time to save. Outside of the run's loops each call counts as a step."""
        self._check_entered()
        if self._notice.is_child:
            return False
        self._raise_again()
        if self._positions.depth == 0:
            self._positions.count_step()
        self._raise_errors()
        return self._is_due()

    def save(self) -> None:
        """Save at this boundary; inside a run's loop: as soon as the pass through its body is complete.

        Returns when the state is captured; `wait` waits until it is durable.

        Raises:
            CaptureError, StorageError: see `wait`.
            Preempted: notice was given; the save is durable.
        """
        self._check_entered()
        if self._notice.is_child:
            return
        self._raise_again()
        if self._positions.depth:
            self._wanted = True
        else:
            self._save_or_leave()

    def wait(self) -> Committed | None:
        """Wait until the last started save is durable, and return it. Raises its error."""
        return None if self._notice.is_child else self._saver.wait()

    def log(self, **metrics: Any) -> None:
        """Keep numbers with the run: all in the journal, the latest in the next checkpoint."""
        self._check_entered()
        if self._notice.is_child:
            return
        self._metrics.log(self.step, metrics)

    def leave(self, reason: str = "the program asked to") -> None:
        """Save at the next boundary and leave with status 85, to be started again."""
        self._notice.give(reason)

    def shield(self) -> AbstractContextManager[None]:
        """Start processes inside this, and a notice sent to the whole process group does not end them."""
        return shielded("spawn")  # whatever starts them: resource trackers are to be there before

    # -- entering and leaving ----------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self._entered:
            raise UsageError("this Run was entered before: make a new one")
        store = self._store = Store(self._path, create=True, clock=self._clock)
        for warning in store.warnings if store.is_new or not _is_local(store) else ():
            self._events.warn(warning)
        self._began = capture.outline(self._state, self._allow)
        self._check_space(self._began.size_bytes)
        self._exit_if_done()
        with ExitStack() as undo:
            if not self._notice.install():
                self._events.warn("not in the main thread: signals are not heard, use outlast stop")
            undo.callback(self._notice.uninstall)
            self._lease = self._claim()
            undo.push(self._end_early)
            self._begin(undo)
            undo.pop_all()
        self._entered = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.getpid() != self._pid:
            return  # a forked child that ran out of the block: the run is its parent's
        self._entered = False
        outcome = "failed"
        if error is None and self._broken_off is not None:
            error = self._broken_off
            self._events.warn(f"caught inside the run's block, but it goes on its way: {type(error).__name__}")
        try:
            if error is None:
                outcome = self._finish()
            elif isinstance(error, Preempted):
                outcome = "preempted"
            else:
                self._settle(error)
        finally:
            self._close(outcome, error)
        if error is not None and kind is None:
            raise error

    def _begin(self, undo: ExitStack) -> None:
        store, lease = self._store, self._lease
        control = controls.from_environment()
        pruner = Pruner(lease, store=store.id)
        writer = Writer(lease, self._clock, store=store.id, lean=min(_MAX_LEAN, max(0, self._keep.newest - 2)))
        self._metrics = Metrics(lease.journal)
        self._saver = Saver(
            store=store,
            writer=writer,
            pruner=pruner,
            keep=self._keep,
            events=self._events,
            control=control,
            flush=self._metrics.flush,
            began=self._began,
        )
        self._keeper = Keeper(
            store=store,
            lease=lease,
            notice=self._notice,
            events=self._events,
            control=control,
            flush=self._metrics.flush,
        )
        undo.callback(self._saver.close)
        self._keeper.start()  # a restore may take longer than a silent attempt is believed to live
        undo.callback(self._keeper.stop)
        if control:
            control.register(store.path)
        self._restore(pruner)
        self._heed()
        self._schedule.learn(store.attempts())
        self._schedule.saved(self.step, self._saver)

    def _heed(self) -> None:
        """Leave, if we were told to before the first step: there is nothing to save yet."""
        reason = self._notice.reason
        if reason is not None:
            self._events.tell("notice", f"{reason}: leaving before the first step", reason=reason)
            raise Preempted(reason)

    def _end_early(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Record that this attempt ended before its first step."""
        del kind, trace
        self._end("preempted" if isinstance(error, Preempted) else "failed", error)

    def _restore(self, pruner: Pruner) -> None:
        found = restore(self._store, pruner, self._state, self._events, allow=self._allow, heed=self._heed)
        if found.manifest is None:
            self._lease.journal.record("started", step=0)
            if self.attempt > 1:
                self._events.warn(f"the {self.attempt - 1} attempts before saved nothing: starting from the beginning")
            return
        self._positions.load(found.manifest.position)
        self._metrics.restore(found.manifest.metrics)
        self.restored = found.report
        if found.report and found.report.kept:
            self._events.warn(f"restored with differences that were allowed:\n{found.report}")
        elif found.report:
            self._events.tell("report", f"what was restored:\n{found.report}")
        name = found.name.format() if found.name else ""
        self._lease.journal.record("restored", checkpoint=name, step=found.manifest.step)
        if self._positions.is_to_come:
            self._rewind = capture.Rewind(self._state, self._saver.pool)

    def _claim(self) -> Lease:
        try:
            return self._store.claim(takeover=self._takeover, waiting=self._waiting)
        except BusyError:
            self._exit_if_done()  # it may have finished while we asked
            raise

    def _waiting(self, owner: str, is_first: bool) -> None:  # noqa: FBT001  (a callback)
        """Hear that the claim waits for a sign of life of an attempt that may be dead."""
        self._heed()
        if is_first:
            limit = format_duration(SILENT_S)
            text = f"the last attempt ({owner}) did not say that it ended: watching it for {limit} at most"
            self._events.tell("waiting", text)

    def _exit_if_done(self) -> None:
        done = finished(self._store)
        if done is not None:
            if os.environ.get("OUTLAST_REOPEN") == "1":
                self._positions.is_reopened = True
                return
            how = "to go on where loops have more passes now, set OUTLAST_REOPEN=1; to start over, name a new store"
            self._events.tell("done", f"this run was done at step {done.step}: nothing to do ({how})", step=done.step)
            raise SystemExit(0)

    def _finish(self) -> str:
        """Write the last checkpoint, marked done."""
        self._positions.check_reached()
        self._rewind = None
        try:
            self._saver.wait()
        except OutlastError as e:
            self._failed(e)
        self._saver.start(self._state, self._moment(done=True))
        self._saver.wait()
        return "done"

    def _settle(self, error: BaseException) -> None:
        """Let the save in flight end; the exception on its way up is the one to see."""
        if isinstance(error, SystemExit) and not error.code:
            self._events.warn("left with sys.exit inside the block: the run is not done, nor is this step saved")
        elif self._notice.reason is not None and isinstance(error, Exception):
            hint = "if a child process died of the notice: start it inside run.shield()"
            self._events.warn(f"{type(error).__name__} came after a notice ({self._notice.reason}); {hint}")
        try:
            self._saver.wait()
        except OutlastError as e:
            self._events.warn(f"the last save failed too: {e}")

    def _close(self, outcome: str, error: BaseException | None) -> None:
        self._saver.close()
        self._keeper.stop()
        self._notice.uninstall(leaving=isinstance(error, Preempted))
        self._end(outcome, error)

    def _end(self, outcome: str, error: BaseException | None) -> None:
        fields = {"reason": error.reason} if isinstance(error, Preempted) else {}
        if error is not None and not isinstance(error, Preempted):
            fields = {"error": type(error).__name__}
        try:
            self._metrics.flush()
        except OutlastError as e:
            self._events.warn(f"the last metrics could not be recorded: {e}")
        try:
            self._lease.end(outcome, step=self.step, **fields)
        except OutlastError as e:
            self._events.warn(f"the end of this attempt could not be recorded: {e}")

    def _record(self, event: str, **fields: Any) -> None:
        """Record what no restart depends on: on a full disk that must not keep us from saving, or from going on."""
        try:
            self._lease.journal.record(event, sync=False, **fields)
        except OutlastError as e:
            self._events.warn(f"{event!r} could not be recorded: {e}")

    # -- the boundary ------------------------------------------------------------------------------------

    def _enter(self, name: str, total: int | None) -> Loop:
        """Open a loop; in the innermost one of the save the state is put back.

        The code on the way there had run before the save, and runs again: a second `schedule.step()` between training
        and validation must not leave a mark.
        """
        self._check_entered()
        self._raise_again()
        loop = self._positions.enter(name, total)
        if self._rewind is not None and loop.was_restored and not loop.body.pending:
            rewind, self._rewind = self._rewind, None
            rewind.put_back()
        return loop

    @contextmanager
    def _remembering(self) -> Iterator[None]:
        """Remember what breaks a loop off: whoever catches it has not come to the loop's end."""
        try:
            yield
        except OutlastError as e:
            self._broken_off = e
            raise

    def _raise_again(self) -> None:
        """Whoever caught what broke a loop off cannot go on with the loops around it: that pass is not complete."""
        if self._broken_off is not None:
            raise self._broken_off

    def _completed(self, loop: Loop) -> None:
        """A pass is complete: the only safe point."""
        self._raise_again()
        loop.advance()
        if self._notice.is_child:
            return
        self._raise_errors()
        if self._is_due() or self._wanted:
            self._wanted = False
            self._save_or_leave()

    def _is_due(self) -> bool:
        if self._notice.reason is not None or self._keeper.wants_save:
            return True
        reason = self._schedule.last_call()
        if reason is not None:
            self._notice.give(reason)
            return True
        return self._schedule.is_due(self.step, self._saver)

    def _is_leaving(self) -> bool:
        return self._notice.reason is not None

    def _save_or_leave(self) -> None:
        if self._notice.reason is not None:
            self._leave(self._notice.reason)
        self._keeper.wants_save = False
        self._rewind = None  # the save takes its memory
        try:
            self._saver.start(self._state, self._moment())
        except OutlastError as e:
            self._failed(e)
        else:
            self._schedule.saved(self.step, self._saver)

    def _leave(self, reason: str) -> None:
        """Save, wait until it is durable, and leave with status 85."""
        self._events.tell("notice", f"{reason}: saving and leaving at step {self.step}", reason=reason)
        self._record("notice", reason=reason, step=self.step)
        self._rewind = None
        try:
            self._saver.wait()
        except FencedError:
            raise
        except OutlastError as e:
            self._events.warn(f"the save before failed: {e}")  # the one that follows may do better
        self._saver.start(self._state, self._moment())
        self._saver.wait()
        self._broken_off = Preempted(reason)
        raise self._broken_off

    def _raise_errors(self) -> None:
        error = self._saver.error()
        if error is not None:
            self._failed(error)

    def _failed(self, error: OutlastError) -> None:
        self._record("save failed", error=str(error), kind=error.kind)
        if self._on_error == "stop" or isinstance(error, (FencedError, CaptureError)):
            raise error
        self._schedule.saved(self.step, self._saver)  # not at each boundary again
        self._events.warn(f"a save failed, the run goes on: {error}", kind=error.kind)

    def _moment(self, *, done: bool = False) -> Moment:
        return Moment(step=self.step, position=self._positions.dump(), metrics=self._metrics.latest, done=done)

    def _check_space(self, size_bytes: int) -> None:
        self._schedule.size_bytes = size_bytes
        needed = size_bytes * (self._keep.newest + 1)
        free = self._store.backend.space().free_bytes
        if 0 <= free < needed:
            self._events.warn(
                f"{self._store.path} has {format_size(free)} free; {self._keep.newest} checkpoints of "
                f"{format_size(size_bytes)} and the next one need {format_size(needed)}"
            )

    def _check_entered(self) -> None:
        if not self._entered:
            raise UsageError("use the run inside its block: with outlast.Run(...) as run:")


def _is_local(store: Store) -> bool:
    """Whether the storage warning is of the kind that is said once: a disk of this machine, outside of jobs."""
    return any("does not outlive the node's disk" in text for text in store.warnings)
