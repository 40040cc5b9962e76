"""`outlast.Run`: what a user's program holds. Its parts do the work; here they meet at each step boundary."""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Iterable, Iterator, MutableMapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import TracebackType
from typing import Any, Literal, NoReturn, Self

from outlast import capture, collector
from outlast.backends.effort import DEFAULT, IO
from outlast.clock import SYSTEM, Clock
from outlast.errors import (
    BusyError,
    CaptureError,
    ChangedError,
    DamageError,
    FencedError,
    OutlastError,
    Preempted,
    RanksError,
    StorageError,
    UsageError,
)
from outlast.policy.retention import Keep, parse_keep
from outlast.run import control as controls
from outlast.run import exits
from outlast.run.company import Company, gathered
from outlast.run.driven import Driven, Driver
from outlast.run.events import Events
from outlast.run.iterables import resume
from outlast.run.keeper import Keeper
from outlast.run.loader import WorkersGone, protect_all
from outlast.run.metrics import Metrics
from outlast.run.notice import Notice
from outlast.run.peers import Peers
from outlast.run.position import Loop, Positions
from outlast.run.restore import Restored, follow, refuse_files, reread, restore
from outlast.run.saver import Commits, Moment, Saver
from outlast.run.schedule import Schedule
from outlast.run.shield import shielded
from outlast.store import SILENT_S, Committed, Lease, Pruner, Store, Writer
from outlast.units import format_duration, format_size, whole

_MAX_LEAN = 8
_ONCE = "does not outlive the node's disk"  # a warning for the start: a disk of this machine, outside of jobs


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
        snapshot: "copy" holds the loop up for about as long as a copy of the state in memory takes. "fork" leaves that
            to a forked child: the loop pays for its page tables only, but as long as the child copies, the kernel
            copies each page that the loop writes to. Where a fork is not safe (CUDA, MPI, JAX, TensorFlow, too little
            memory) the run says so, and copies.
        io: how hard saving may work: threads, priority, rate, ways of writing; see `outlast.IO`.
        ranks: whether the processes of this program are ranks of one run, which save and leave together. None: if
            PyTorch's process group or RANK and WORLD_SIZE say so. True: also if srun or mpirun does. False: each is a
            run of its own.
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
        snapshot: Literal["copy", "fork"] = "copy",
        io: IO = DEFAULT,
        ranks: bool | None = None,
        clock: Clock = SYSTEM,
    ) -> None:
        exits.install()
        if on_error not in ("stop", "warn"):
            raise UsageError(f"on_error={on_error!r}: expected 'stop' or 'warn'")
        if snapshot not in ("copy", "fork"):
            raise UsageError(f"snapshot={snapshot!r}: expected 'copy' or 'fork'")
        if not isinstance(state, MutableMapping):
            raise UsageError(f"state is a {type(state).__name__}, expected a dict of name -> object")
        self._path, self._state, self._allow, self._on_error = os.fspath(store), state, allow, on_error
        self._keep, self._io, self._forks = parse_keep(keep), io, snapshot == "fork"
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
        self._ranks = ranks
        self._company: Company | None = None
        self._control: controls.Control | None = None
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
            items = self._resumed(source, loop)
            while True:
                try:
                    item = next(items)
                except StopIteration:
                    return
                except WorkersGone:
                    self._gone(may_save=True)
                yield item
                self._completed(loop)

    def loop(self, name: str, total: int | None = None) -> Driven:
        """Open a loop that something else drives, such as a framework's trainer: see `Driven`.

        `range` and `iterate` are this for a loop that the program itself writes.
        """
        driver = Driver(
            resumed=self._resumed, completed=self._completed, gone=self._gone, remembering=self._remembering
        )
        with self._remembering():
            return Driven(driver, self._enter(name, None if total is None else whole("total", total)))

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
        return self._is_due() if self._company is None else self._company.is_due(self._is_due)

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
        if self._positions.depth and self._company is not None:
            self._company.ask()
        elif self._positions.depth:
            self._wanted = True
        else:
            self._save_or_leave()

    def wait(self) -> Committed | None:
        """Wait until the last started save is durable, and return it; None if none was. Raises its error.

        A save that `save` was asked for inside a loop starts at the end of the pass: until then it is not waited for.
        """
        if self._notice.is_child:
            return None
        if self._wanted:
            self._events.warn("run.wait() does not wait for the save that begins at the end of this pass")
        return self._saver.wait()

    def log(self, **metrics: Any) -> None:
        """Keep numbers with the run: all in the journal, the latest in the next checkpoint."""
        self._check_entered()
        if self._notice.is_child:
            return
        self._metrics.log(self.step, metrics)

    def leave(self, reason: str = "the program asked to") -> None:
        """Save at the next boundary and leave with status 85, to be started again. `reason` goes to the journal."""
        self._notice.give(reason)
        if self._company is not None:
            self._company.ask(reason)

    def shield(self) -> AbstractContextManager[None]:
        """Start processes inside this, and a notice sent to the whole process group does not end them."""
        return shielded("spawn")  # whatever starts them: resource trackers are to be there before

    # -- entering and leaving ----------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self._entered:
            raise UsageError("this Run was entered before: make a new one")
        with ExitStack() as undo:
            self._company = gathered(self._path, self._ranks, self._notice, self._events, self._clock)
            if self._company is not None:
                undo.enter_context(self._company)
            self._open()
            if not self._notice.install():
                self._events.warn("not in the main thread: signals are not heard, use outlast stop")
            undo.push(self._give_back_signals)
            self._lease = self._claim() if self._company is None else self._company.lease(self._claim)
            undo.push(self._end_early)
            self._begin(undo)
            undo.pop_all()
        self._unprotect = protect_all()
        self._entered = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.getpid() != self._pid:
            return  # a forked child that ran out of the block: the run is its parent's
        self._entered = False
        outcome = "failed"
        failing: BaseException | None = error
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
        except BaseException as e:
            failing = e
            raise
        finally:
            self._close(outcome, error)
            if self._company is not None:
                self._company.close(error or failing)
        if error is not None and kind is None:
            raise error

    def _open(self) -> None:
        """Open the store, and see whether there is anything to do."""
        company = self._company
        store = self._store = company.store if company else Store(self._path, create=True, clock=self._clock)
        for warning in store.warnings:
            if store.is_new or _ONCE not in warning:
                self._events.warn(warning)
        self._began = capture.outline(self._state, self._allow)
        self._check_space(self._began.size_bytes)
        self._exit_if_done()

    def _begin(self, undo: ExitStack) -> None:
        store, lease, company = self._store, self._lease, self._company
        is_first = company is None or company.is_first
        control = self._control = controls.from_environment() if is_first else None
        pruner = Pruner(lease, store=store.id, reuse=self._io.reuse) if is_first else None
        lean = min(_MAX_LEAN, max(0, self._keep.newest - 2))
        if company is None:
            writer: Commits = Writer(lease, self._clock, store=store.id, lean=lean, io=self._io)
        else:
            writer = company.writer(lease, lean=lean, io=self._io)
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
            memory_bytes=self._io.memory_bytes,
            forks=self._forks,
        )
        self._keeper = Keeper(
            store=store,
            lease=lease,
            notice=self._notice,
            events=self._events,
            control=control,
            flush=self._metrics.flush,
            moved=self._schedule.move_deadline,
            hears_store=is_first,
            also=company.tick if company else None,
        )
        if company is not None:
            company.team.wish = self._wished
        undo.callback(self._saver.close)
        self._keeper.start()  # a restore may take longer than a silent attempt is believed to live
        undo.callback(self._keeper.stop)
        if control:
            control.register(store.path)
        self._restore(pruner)
        self._heed()
        self._saver.prepare()
        self._schedule.learn(store.attempts() if is_first else ())
        self._schedule.saved(self.step, self._saver)

    def _heed(self) -> None:
        """Leave, if we were told to before the first step: there is nothing to save yet."""
        reason = self._notice.reason if self._company is None else self._company.begun()
        if reason is not None:
            self._events.tell("notice", f"{reason}: leaving before the first step", reason=reason)
            raise Preempted(reason)

    def _give_back_signals(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back; on the way out after a notice one more of them must not change the status."""
        del kind, trace
        self._notice.uninstall(leaving=isinstance(error, Preempted))

    def _end_early(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Record that this attempt ended before its first step."""
        del kind, trace
        self._end("preempted" if isinstance(error, Preempted) else "failed", error)

    @collector.paused()
    def _restore(self, pruner: Pruner | None) -> None:
        try:
            found = self._found(pruner)
        except DamageError:
            self._lease.check()  # a newer attempt may have removed what we had listed: that is no damage
            raise
        if found.manifest is None:
            self._lease.journal.record("started", step=0)
            if self.attempt > 1:
                self._events.warn(f"the {self.attempt - 1} attempts before saved nothing: starting from the beginning")
            return
        self._positions.load(found.position)
        self._metrics.restore(found.manifest.metrics)
        self.restored = found.report
        if found.report and found.report.kept:
            self._events.warn(f"restored with differences that were allowed:\n{found.report}")
        elif found.report:
            self._events.tell("report", f"what was restored:\n{found.report}")
        name = found.name.format() if found.name else ""
        self._lease.journal.record("restored", checkpoint=name, step=found.manifest.step)
        if self._positions.is_to_come:
            peers = Peers(self._company.team) if self._company else None
            again = functools.partial(reread, self._store, found.manifest, self._state, self._allow, peers)
            self._rewind = capture.Rewind(self._state, self._saver.pool, again)

    def _found(self, pruner: Pruner | None) -> Restored:
        """Put back the newest good checkpoint: on all ranks the same one."""
        options: dict[str, Any] = {"allow": self._allow, "io": self._io}
        if self._company is None:
            assert pruner is not None, "who is alone prunes"
            return restore(self._store, pruner, self._state, self._events, heed=self._heed, **options)
        peers = Peers(self._company.team)
        if pruner is None:
            return follow(self._store, self._state, heed=_no_matter, peers=peers, **options)
        try:
            found = restore(self._store, pruner, self._state, self._events, heed=_no_matter, peers=peers, **options)
        except (DamageError, StorageError) as e:  # another error all ranks have already
            peers.over(e)
            raise
        peers.over(None)
        return found

    def _claim(self) -> Lease:
        try:
            return self._store.claim(takeover=self._takeover, waiting=self._waiting)
        except BusyError:
            if self._company is None:
                self._exit_if_done()  # it may have finished while we asked
                refuse_files(self._store)
            raise

    def _waiting(self, owner: str, is_first: bool) -> None:  # noqa: FBT001  (a callback)
        """Hear that the claim waits for a sign of life of an attempt that may be dead."""
        if self._company is None:
            self._heed()
        if is_first:
            limit = format_duration(SILENT_S)
            text = f"the last attempt ({owner}) did not say that it ended: watching it for {limit} at most"
            self._events.tell("waiting", text)

    def _exit_if_done(self) -> None:
        step = self._done_step() if self._company is None else self._company.told("done?", self._done_step)
        if step is not None:
            if os.environ.get("OUTLAST_REOPEN") == "1":
                self._positions.is_reopened = True
                return
            how = "to go on where loops have more passes now, set OUTLAST_REOPEN=1; to start over, name a new store"
            self._events.tell("done", f"this run was done at step {step}: nothing to do ({how})", step=step)
            raise SystemExit(0)

    def _done_step(self) -> int | None:
        done = self._store.finished()
        return None if done is None else done.step

    def _finish(self) -> str:
        """Write the last checkpoint, marked done."""
        self._positions.check_reached()
        if self._company is not None:
            self._company.finish()
        self._rewind = None
        self._saver.hurry()
        try:
            self._saver.wait()
        except OutlastError as e:
            self._failed(e)
        self._saver.start(self._state, self._moment(done=True))
        self._saver.wait()
        return "done"

    def _settle(self, error: BaseException) -> None:
        """Let the save in flight end; the exception on its way up is the one to see."""
        if self._company is not None:
            self._company.fail(error)
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
        self._unprotect()
        self._saver.close()
        self._keeper.stop()
        self._notice.uninstall(leaving=isinstance(error, Preempted))
        self._end(outcome, error)
        if self._company is not None and self._control and isinstance(error, Preempted):
            self._control.left()

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

    def _completed(self, loop: Loop, passes: int = 1) -> None:
        """A pass is complete: the only safe point. Mostly nothing is due, so few calls are made until that is known."""
        if self._broken_off is not None:
            self._raise_again()
        loop.advance(passes)
        if self._notice.is_child:
            return
        self._raise_errors()
        if (self._is_due() if self._company is None else self._company.is_due(self._is_due)) or self._wanted:
            self._wanted = False
            self._save_or_leave()

    def _resumed(self, source: Iterable[Any], loop: Loop) -> Iterator[Any]:
        return resume(source, loop, notice_pending=self._is_leaving, warn=self._events.warn)

    def _gone(self, may_save: bool) -> NoReturn:  # noqa: FBT001  (a driven loop's question)
        """Leave because data-loader workers were ended; without a save, if the state is not that of a boundary."""
        reason = self._notice.reason or "data-loader workers were ended"
        if self._company is not None:  # one rank cannot leave by itself
            raise RanksError(f"data-loader workers were ended ({reason})", hint="all ranks go back to the last save")
        if may_save:
            self._leave(reason)
        self._broken_off = Preempted(reason)
        raise self._broken_off

    def _is_due(self) -> bool:
        if self._notice.reason is not None or self._keeper.wants_save:
            return True
        if not self._schedule.is_due(self._positions.steps_done, self._saver):
            return False
        if self._schedule.last_call is not None:
            self._notice.give(self._schedule.last_call)
        return True

    def _is_leaving(self) -> bool:
        return self._notice.reason is not None

    def _leaving_for(self) -> str | None:
        """Return why this boundary is the last one; of several ranks, why it is for all."""
        if self._company is None:
            return self._notice.reason
        return self._company.plan.leave if self._company.plan else None

    def _wished(self, leave: str | None) -> None:
        """Hear, on rank 0 and in another thread, what another rank wants."""
        if leave is None:
            self._keeper.wants_save = True
        else:
            self._notice.give(leave)

    def _save_or_leave(self) -> None:
        reason = self._leaving_for()
        if reason is not None:
            self._leave(reason)
        if self._company is not None:
            self._company.acted()
        self._keeper.wants_save = False
        self._rewind = None  # the save takes its memory
        try:
            self._saver.start(self._state, self._moment())
        except OutlastError as e:
            self._failed(e)
        else:
            self._schedule.saved(self.step, self._saver)

    def _leave(self, reason: str) -> NoReturn:
        """Save, wait until it is durable, and leave with status 85."""
        self._events.tell("notice", f"{reason}: saving and leaving at step {self.step}", reason=reason)
        self._record("notice", reason=reason, step=self.step)
        self._rewind = None
        self._saver.hurry()
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
        # Other errors may quote the state, or what a plug-in said: on stderr only, not in a file for years.
        said = str(error) if isinstance(error, StorageError) else type(error).__name__
        self._record("save failed", error=said, kind=error.kind)
        is_fatal = self._on_error == "stop" and not isinstance(error, ChangedError)  # the next save does without
        if is_fatal or isinstance(error, (FencedError, CaptureError)):
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


def _no_matter() -> None:
    """Look up at nothing: ranks hear of a notice when all have restored."""
