"""A few threads that are kept and help the calling one: for work that is done by C code and lets go of the interpreter.

They are daemons: they never keep a program from ending, and a job is always seen through by who asked for it. A forked
child has none of its parent's threads, so it gets a crew of its own.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Generic, TypeVar

_MOST_HANDS = 4  # with the caller's own: memory has been the limit long before
_LOOK_S = 1.0

T = TypeVar("T")


class Job(Generic[T]):
    """Pieces of work that several threads take from, whoever comes first."""

    __slots__ = ("_left", "_work", "error")

    def __init__(self, work: Callable[[T], None], pieces: Sequence[T]) -> None:
        self._work = work
        self._left = deque(pieces)
        self.error: BaseException | None = None

    def help(self) -> None:
        """Take pieces until none is left."""
        while True:
            try:
                piece = self._left.popleft()
            except IndexError:
                return
            self._work(piece)

    def call_off(self) -> None:
        """Leave what nobody has begun."""
        self._left.clear()


class _Hand:
    """One thread. `busy` is held while it helps; `is_holding` stays if it dies over a job."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[Job[object] | None] = SimpleQueue()
        self.busy = threading.Lock()
        self.is_holding = False
        self.thread = threading.Thread(target=self._serve, name="outlast-copier", daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            job = self.jobs.get()
            if job is None:
                return
            with self.busy:
                self.is_holding = True
                _help(job)
                self.is_holding = False
            del job  # it may hold a whole state

    def rest(self) -> None:
        """Wait until it has put down what it holds. A job without pieces it does not take up."""
        while self.thread.is_alive():
            if self.busy.acquire(timeout=_LOOK_S):
                self.busy.release()
                return


def _help(job: Job[object]) -> None:
    try:
        job.help()
    except BaseException as e:  # noqa: BLE001  (raised again where the job was asked for)
        job.error = e
        job.call_off()


class Crew:
    """The threads of this process, started with the first job that calls for them."""

    def __init__(self) -> None:
        self._hands: list[_Hand] = []
        self._pid = os.getpid()

    def do(self, work: Callable[[T], None], pieces: Sequence[T]) -> None:
        """Have all pieces of work done, by the calling thread too. Raises what one of them raised."""
        job: Job[T] = Job(work, pieces)
        hands = self._called(len(pieces) - 1)
        try:
            for hand in hands:
                hand.jobs.put(job)  # type: ignore[arg-type]
            job.help()
        finally:
            job.call_off()  # whatever broke in here: nobody works on behind our back
            for hand in hands:
                hand.rest()
        if any(hand.is_holding and not hand.thread.is_alive() for hand in hands):
            raise MemoryError("a thread that copied died")
        if job.error is not None:
            raise job.error

    def dismiss(self) -> None:
        """End the threads; the next job starts others."""
        hands, self._hands = self._hands if self._pid == os.getpid() else [], []
        for hand in hands:
            hand.jobs.put(None)
        for hand in hands:
            hand.thread.join()

    def _called(self, wanted: int) -> list[_Hand]:
        """Return up to `wanted` living threads: as many as there are other cores."""
        if self._pid != os.getpid():
            self._hands, self._pid = [], os.getpid()
        self._hands = [hand for hand in self._hands if hand.thread.is_alive()]
        count = min(wanted, _MOST_HANDS - 1, len(os.sched_getaffinity(0)) - 1)
        try:
            while len(self._hands) < count:
                self._hands.append(_Hand())
        except RuntimeError:  # no more threads are allowed, or the interpreter is about to end
            pass
        return self._hands[: max(0, count)]


CREW = Crew()
