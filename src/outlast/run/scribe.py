"""A thread that does one piece of work after another, and whose word is never waited for in vain.

An executor's future waits for ever if its thread dies between two pieces of work, or within a lock that is written in
Python, as it may when memory gives out. Here a plain lock tells the end, and the waiter looks now and then whether the
thread still lives.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

_LOOK_S = 1.0

T = TypeVar("T")


class Job(Generic[T]):
    """A piece of work and what came of it. `gave` and `error` are both None if its thread died over it.

    `has_ended` may be read at any time, without a lock. A thread that dies before it takes the work up does not set it:
    `Scribe.has_ended` knows that too.
    """

    __slots__ = ("error", "gave", "has_ended", "is_under_way", "work")

    def __init__(self, work: Callable[[], T]) -> None:
        self.work: Callable[[], T] | None = work
        self.gave: T | None = None
        self.error: BaseException | None = None
        self.has_ended = False
        self.is_under_way = threading.Lock()
        self.is_under_way.acquire()

    def do(self) -> None:
        try:
            assert self.work
            self.gave = self.work()
        except BaseException as e:  # noqa: BLE001  (raised again where the result is asked for)
            self.error = e
        finally:
            self.work = None  # it may hold a whole state
            self.is_under_way.release()


class Scribe(Generic[T]):
    """Does work in a thread of its own, which is started with the first piece, and again if it died."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: threading.Thread | None = None
        self._jobs: SimpleQueue[Job[T] | None] = SimpleQueue()

    def start(self, work: Callable[[], T]) -> Job[T]:
        """Hand over a piece of work. The one before must have ended.

        Raises:
            MemoryError: no thread can be started.
        """
        job = Job(work)
        if not self._lives():
            self._jobs = SimpleQueue()
            thread = threading.Thread(target=_work, args=(self._jobs,), name=self._name)
            try:
                thread.start()
            except RuntimeError as e:  # no room for its stack, or no more threads are allowed
                raise MemoryError(str(e)) from e
            self._thread = thread
        self._jobs.put(job)
        return job

    def has_ended(self, job: Job[T]) -> bool:
        """Say whether a piece of work has ended, if only because its thread has."""
        return not job.is_under_way.locked() or not self._lives()

    def result(self, job: Job[T]) -> T:
        """Wait for a piece of work; return what it gave, or raise its error.

        Raises:
            MemoryError: its thread died over it, for which nothing else is known to be a reason.
        """
        while not self.has_ended(job):
            self.look(job)
        if job.error is not None:
            raise job.error
        if job.gave is None:
            raise MemoryError(f"the thread {self._name} died")
        return job.gave

    def look(self, job: Job[T]) -> None:
        """Wait a while for a piece of work to end."""
        if job.is_under_way.acquire(timeout=_LOOK_S):
            job.is_under_way.release()

    def close(self) -> None:
        """Let the work in hand end, and end the thread."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()

    def _lives(self) -> bool:
        return self._thread is not None and self._thread.is_alive()


def _work(jobs: SimpleQueue[Job[T] | None]) -> None:
    while True:
        try:
            job = jobs.get(timeout=_LOOK_S)
        except Empty:
            if not threading.main_thread().is_alive():
                return  # the program ends without closing us: the interpreter waits for this thread
            continue
        if job is None:
            return
        try:
            job.do()
        finally:  # also if this thread dies over it
            job.has_ended = True
        del job
