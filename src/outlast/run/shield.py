"""Child processes that do not hear the notice: signals blocked while they start stay blocked in them.

A batch system sends its notice to every process of the job. The main process answers it at its next boundary; a
data-loader worker would die of it and take the loop along. Blocked signals are inherited, through fork and
through exec, and the children of shielded children inherit them too. Such a process ends when it is told to by
its own means (a queue, a closed pipe), or by SIGKILL; `terminate()` does not reach it.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

SHIELDED = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2})


@contextmanager
def shielded(start_method: str | None = None) -> Iterator[None]:
    """Start processes inside: they will not hear SIGTERM, SIGINT, SIGUSR1 and SIGUSR2.

    A signal that arrives meanwhile is not lost: another thread takes it, or this one, when the block ends.

    Args:
        start_method: of multiprocessing, if not the process's own. A fork server that was started outside of a
            shield gives workers that hear the notice.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SHIELDED)
    try:
        if (start_method or multiprocessing.get_start_method(allow_none=True)) in ("spawn", "forkserver"):
            # It would start with the first worker, and unblock SIGINT and SIGTERM in this thread as it does.
            resource_tracker.ensure_running()
            signal.pthread_sigmask(signal.SIG_BLOCK, SHIELDED)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
