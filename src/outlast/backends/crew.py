"""A few threads that share one list of work, and whose word is never waited for in vain."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from contextlib import suppress

_INTERRUPTED = -1  # before every number: it comes before what went wrong with the work


def each(
    work: Callable[[int], None],
    count: int,
    workers: int,
    *,
    nice: int = 0,
    heed: Callable[[], object] | None = None,
) -> None:
    """Call `work` with 0 to `count` - 1, in that order, from `workers` threads; this one is among them.

    The first error keeps all from beginning anything new. What was begun is ended; then the error of the lowest number
    is raised, so that it is the same one whoever was quicker. With one worker no thread is started.

    Args:
        work: safe to be called from several threads.
        count: how many pieces of work there are.
        workers: how many threads at most.
        nice: the priority of the others; this thread's is its owner's business.
        heed: called by this thread before each piece of its own. If it raises, all stop, and that is what is raised.

    Raises:
        MemoryError: a thread died over its work, for which nothing else is known to be a reason.
    """
    numbers = itertools.count()  # taking the next is one step of the interpreter
    is_done = bytearray(count)
    errors: dict[int, BaseException] = {}

    def go(heed: Callable[[], object] | None = None) -> None:
        number = _INTERRUPTED
        try:
            while not errors:
                number = _INTERRUPTED
                if heed:
                    heed()
                if (number := next(numbers)) >= count:
                    return
                work(number)
                is_done[number] = 1
        except BaseException as e:  # noqa: BLE001  (raised again below)
            errors[number if isinstance(e, Exception) else _INTERRUPTED] = e

    others = _started(go, min(workers, count) - 1, nice)
    go(heed)
    _join(others, errors)
    if errors:
        raise errors[min(errors)]
    if 0 in is_done:
        raise MemoryError("a thread died over its work")


def _join(threads: list[threading.Thread], errors: dict[int, BaseException]) -> None:
    """Wait for all, whatever interrupts: none may go on with what its caller takes for finished."""
    for thread in threads:
        while thread.is_alive():
            try:
                thread.join()
            except BaseException as e:  # noqa: BLE001  (Ctrl-C, or what another signal's handler raises: raised by `each`)
                errors[_INTERRUPTED] = e


def _started(go: Callable[[], None], count: int, nice: int) -> list[threading.Thread]:
    """Start threads; as many as there is room for."""
    threads: list[threading.Thread] = []
    for _ in range(count):
        thread = threading.Thread(target=_politely, args=(go, nice), name="outlast-io", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no room for its stack, or no more are allowed: the others do it all
            break
        threads.append(thread)
    return threads


def _politely(go: Callable[[], None], nice: int) -> None:
    yield_to_others(nice)
    go()


def yield_to_others(nice: int) -> None:
    """Give this thread a lower priority; on Linux that is a thread's own. Refused, it works as it is."""
    if nice:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
