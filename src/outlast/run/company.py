"""One rank among others, as `Run` sees it: who holds the lease, when all save, and how all end together."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType
from typing import Any

from outlast.backends.effort import IO
from outlast.clock import Clock
from outlast.errors import OutlastError, Preempted, RanksError
from outlast.format import manifest as manifests
from outlast.run import meeting
from outlast.run.events import Events
from outlast.run.guest import guest
from outlast.run.meeting import Seat
from outlast.run.notice import Notice
from outlast.run.team import LOOP, Plan, Team, same
from outlast.run.together import Together
from outlast.store import Lease, PartWriter, Store, Writer

_PATIENCE_S = 60.0  # in a collective of the program's own, which a dead rank has left hanging


class Company:
    """The ranks of a run.

    Args:
        path: the store.
        seat: which rank this is.
        notice: this rank's.
        events: this rank's.
        clock: time.

    Attributes:
        store: the run's.
        plan: what is to be done at this boundary, all ranks the same.
        team: the ranks.
    """

    def __init__(self, path: str, seat: Seat, notice: Notice, events: Events, clock: Clock) -> None:
        self.plan: Plan | None = None
        self._notice, self._events, self._clock = notice, events, clock
        self._digest = ""
        if seat.rank == 0:
            self.store = Store(path, create=True, clock=clock)
        else:
            events.of_rank(seat.rank)
            self.store = meeting.opened(lambda: Store(path, clock=clock))
            self.store.backend.guard()
        self.team: Team = meeting.meet(self.store, seat, events.warn)

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0."""
        return self.team.rank == 0

    def told(self, what: str, find: Callable[[], Any]) -> Any:
        """Return on all ranks what rank 0 finds; raise on all what it raises."""
        return self._exchange(what, find if self.is_first else None)

    def lease(self, claim: Callable[[], Lease]) -> Lease:
        """Have rank 0 claim the run for all. Raises on all ranks what it raises."""
        held: list[Lease] = []

        def find() -> dict[str, Any]:
            held.append(claim())
            return {"attempt": held[0].attempt, "digest": manifests.digest_for(held[0].trust.key)}

        found = self.told("claim", find)
        self._digest = found["digest"]
        return held[0] if held else guest(self.store, found["attempt"])

    def writer(self, lease: Lease, *, lean: int, io: IO) -> Together:
        """Return the writer of this rank."""
        clock, store, backend = self._clock, self.store, self.store.backend
        writer = Writer(lease, clock, store=store.id, lean=lean, io=io) if self.is_first else None
        parts = (
            writer.parts
            if writer
            else PartWriter(backend, clock, digest=self._digest, rank=self.team.rank, lean=lean, io=io)
        )
        return Together(
            self.team, parts, writer, backend=backend, clock=clock, digest=self._digest, store=store.id, io=io
        )

    def begun(self) -> str | None:
        """Wait until all ranks are ready for their first step; return why all leave before it, if any was told to."""

        def decide(reasons: list[Any]) -> Any:
            return next((reason for reason in reasons if reason), None)

        reason = self.team.exchange(LOOP, "the first step", self._mine(), decide=decide)
        return None if reason is None else str(reason)

    def is_due(self, here: Callable[[], bool]) -> bool:
        """At each boundary: say whether all ranks save at this one. Rank 0 asks whether `here` anything is due."""
        team = self.team
        if team.rank == 0 and here():
            team.call(self._notice.reason)
        self.plan = team.arrive()
        return self.plan is not None

    def acted(self) -> None:
        """What was to be done at this boundary is done."""
        if self.plan is not None:
            self.plan = None
            self.team.acted()

    def ask(self, leave: str | None = None) -> None:
        """Ask for a save of all ranks, or for all to leave."""
        self.team.ask(leave if leave is None or self.is_first else f"rank {self.team.rank}: {leave}")

    def tick(self) -> None:
        """Now and then, from another thread: pass on a notice; end the process if it hangs on a rank that is gone."""
        reason = self._mine()
        if reason is not None and not self.is_first:
            try:
                self.team.ask(reason)
            except RanksError:
                return  # the loop hears of it
        if self.team.trouble_s > _PATIENCE_S:
            self._events.warn("another rank is gone, and this one waits for it: leaving; what was committed stays")
            os._exit(1)

    def finish(self) -> None:
        """Wait until all ranks have come to the end of the block."""
        self.team.exchange(LOOP, "the end of the block")

    def close(self, error: BaseException | None) -> None:
        """End together, or tell the others why not."""
        if error is None or isinstance(error, Preempted):
            try:
                self.team.exchange(LOOP, "leaving", is_last=True)
            except OutlastError as e:
                self._events.warn(f"not all ranks have left together: {e}")
        else:
            self.team.fail(type(error).__name__)
        self.team.close()

    def fail(self, error: BaseException) -> None:
        """Tell the others that this rank has failed, before anything else is waited for."""
        if not isinstance(error, (Preempted, RanksError)):
            self.team.fail(type(error).__name__)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """On the way out before the block was entered: with an error, or since all is done."""
        self.close(None if isinstance(error, SystemExit) else error)

    def __enter__(self) -> None:
        """Nothing: the ranks are there."""

    def _mine(self) -> str | None:
        reason = self._notice.reason
        return reason if reason is None or self.is_first else f"rank {self.team.rank}: {reason}"

    def _exchange(self, what: str, find: Callable[[], Any] | None) -> Any:
        value: Any = None
        error: OutlastError | None = None
        if find is not None:
            try:
                value = find()
            except OutlastError as e:
                error = e
        return self.team.exchange(LOOP, what, value, error=error, decide=same)


def gathered(path: str, ranks: bool | None, notice: Notice, events: Events, clock: Clock) -> Company | None:  # noqa: FBT001
    """Bring the ranks of a run together; return None where this process is alone."""
    seat = meeting.seat(ranks)
    return Company(path, seat, notice, events, clock) if seat.world > 1 else None
