"""Child processes that do not hear the notice, and that end with this process.

Signals blocked while they start stay blocked in them.

A batch system sends its notice to every process of the job. The main process answers it at its next boundary; a
data-loader worker would die of it and take the loop along. Blocked signals are inherited, through fork and
through exec, and the children of shielded children inherit them too. Such a process ends when it is told to by
its own means (a queue, a closed pipe), or by SIGKILL; `terminate()` does not reach it.

Nor does it always see that the main process is gone: a worker of torch's looks from time to time whether its parent is
still the one that it found as it began, which is another if the main process was killed just before, and the same for
ever if it is a fork server. `EndsWithUs` sees to that.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

_PR_SET_PDEATHSIG = 1
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


@contextmanager
def starting_workers(loader: Any) -> Iterator[None]:
    """Start a loader's workers in here: they do not hear the notice, and end with this process."""
    context = getattr(loader, "multiprocessing_context", None)
    method = None if context is None else str(context.get_start_method())
    with shielded(method):
        if not getattr(loader, "num_workers", 0):
            yield
            return
        before = loader.worker_init_fn
        loader.worker_init_fn = EndsWithUs(before, method)
        try:
            yield
        finally:
            loader.worker_init_fn = before


class EndsWithUs:
    """To be called in a child process as it begins: then it does not outlive the process that made this object.

    Args:
        then: called after that, with the same arguments.
        start_method: of the child, if not the process's own.
    """

    def __init__(self, then: Callable[..., object] | None, start_method: str | None = None) -> None:
        self._then = then
        is_ours = (start_method or multiprocessing.get_start_method()) != "forkserver"
        # the kernel's word is of the thread that forks, not of the process
        self._is_of_kernel = is_ours and threading.current_thread() is threading.main_thread()

    def __call__(self, *args: Any) -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None, "called in a child of multiprocessing"
        if self._is_of_kernel:
            zero = ctypes.c_ulong(0)
            ctypes.PyDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), zero, zero, zero)
            if os.getppid() != parent.pid:
                os._exit(1)
        else:  # a fork server lives as long as its children
            threading.Thread(target=_end_after, args=(parent,), daemon=True).start()
        if self._then is not None:
            self._then(*args)


def _end_after(parent: Any) -> None:
    parent.join()
    os._exit(1)
