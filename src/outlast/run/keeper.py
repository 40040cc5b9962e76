"""The thread that keeps an attempt alive in the eyes of others, and hears what they ask.

Heartbeats, requests left in the store, the supervisor's control folder, a second signal. It sets flags; the
loop looks at them at its next boundary. It never touches the user's state.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from outlast.errors import OutlastError
from outlast.run.control import Control
from outlast.run.events import Events
from outlast.run.notice import Notice
from outlast.store import HEARTBEAT_S, Lease, Store

_BEAT_S = 0.2  # how exactly the time of a signal is known
_LISTEN_S = 2.0  # how often the store's control directory is listed: a network call on shared storage


class Keeper:
    """Runs beside one attempt.

    Args:
        store: the run's store.
        lease: this attempt's.
        notice: told when somebody wants us to leave.
        events: where trouble is said.
        control: the supervisor's folder, if there is one.
        flush: called now and then, to bring the metrics to the journal.
        moved: told of the deadline, in seconds since the epoch or None, when the supervisor has learnt another one.
        hears_store: listens to the requests in the store: one rank does, for all.
        also: called as often as signals are looked for.

    Attributes:
        wants_save: somebody asked for a save.
    """

    def __init__(
        self,
        *,
        store: Store,
        lease: Lease,
        notice: Notice,
        events: Events,
        control: Control | None,
        flush: Callable[[], None],
        moved: Callable[[float | None], None],
        hears_store: bool = True,
        also: Callable[[], None] | None = None,
    ) -> None:
        self.wants_save = False
        self._store, self._lease, self._notice, self._events = store, lease, notice, events
        self._control, self._flush, self._moved = control, flush, moved
        self._hears_store, self._also = hears_store, also
        self._deadline: tuple[float | None] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="outlast-keeper", daemon=True)
        self._trouble = ""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what it was doing is finished first."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        since_beat = since_listen = 0.0
        while not self._stop.wait(_BEAT_S):
            since_beat += _BEAT_S
            since_listen += _BEAT_S
            self._hear_signals()
            self._hear_supervisor()
            if self._also:
                self._also()
            if since_listen >= _LISTEN_S:
                since_listen = 0.0
                if self._hears_store:
                    self._guarded(self._hear_store)
                self._guarded(self._flush)
            if since_beat >= HEARTBEAT_S:
                since_beat = 0.0
                self._guarded(self._lease.beat)

    def _hear_signals(self) -> None:
        self._notice.poll()
        number = self._notice.again()
        if number is not None:
            self._events.warn("second signal: leaving at once, what was committed stays")
            os._exit(128 + number)

    def _hear_supervisor(self) -> None:
        if self._control is None:
            return
        if self._control.is_orphaned():
            self._notice.give("the supervisor is gone")
        reason = self._control.stop_reason()
        if reason is not None:
            self._notice.give(reason)
        deadline = self._control.moved_deadline()
        if deadline is not None and deadline != self._deadline:
            self._deadline = deadline
            self._moved(deadline[0])
        if self._control.take_save():
            self.wants_save = True

    def _hear_store(self) -> None:
        waiting = self._store.requests()
        if waiting:
            self._lease.check()  # a newer attempt's are not ours to hear
        for request in waiting:
            if 0 < request.attempt < self._lease.attempt:
                self._events.warn(
                    f"dropped a request ({request.reason}): attempt {request.attempt} ended unheard of it"
                )
            elif request.kind == "stop":
                if self._control:
                    self._control.leave(request.reason)
                self._notice.give(request.reason)
            else:
                self.wants_save = True
            self._store.serve(request)

    def _guarded(self, work: Callable[[], None]) -> None:
        """Do a piece of storage work; say trouble once, for it may pass and the loop must not die of it."""
        try:
            work()
        except (OutlastError, MemoryError) as e:
            if str(e) != self._trouble:
                self._trouble = str(e)
                self._events.warn(f"heartbeat: {e}")
