"""Leaving the copy to a forked child: it has the memory as it was, and the loop goes on while it copies.

The child does what was prepared and nothing else: no lock, no import, no file; it ends by `os._exit`. It is made by
`os.fork`, not by the C library's: only that one gives the child an interpreter which does not wait for threads that it
does not have. The page tables are what takes time; the handlers that run at a fork take microseconds. All signals
are blocked in it, so that a notice does not end it, and the kernel ends it with the main thread that forked it; one of
another thread, which may end any time, comes to its end by itself.
"""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import re
import signal
import sys
import threading
import warnings
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from outlast.capture.budget import available_bytes, room_for
from outlast.capture.copying import Copying
from outlast.errors import OutlastError
from outlast.units import format_size

_PR_SET_PDEATHSIG = 1
_MAPS = Path("/proc/self/maps")
_SHARED = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) ...s ", re.MULTILINE)
_FABRIC = re.compile(rb"/lib(mpi|mpich|ibverbs|ucp|uct|ucs|psm2|psm_infinipath|fabric)[.-][^\n]*")
_LAUNCHED = ("OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMIX_RANK", "MPI_LOCALRANKID", "MV2_COMM_WORLD_SIZE")
_THREADED = ("jax", "jaxlib", "tensorflow")

_prctl = ctypes.PyDLL(None).prctl
_prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)


class Mappings:
    """What this process has mapped, at this moment."""

    def __init__(self, path: Path = _MAPS) -> None:
        self._text = path.read_bytes()

    @property
    def fabric(self) -> str:
        """The name of a library that talks to a network from memory that must not be copied on write; "" if none."""
        found = _FABRIC.search(self._text)
        return found[0].decode(errors="replace").strip("/") if found else ""

    @property
    def has_cuda(self) -> bool:
        """Whether CUDA's driver is loaded."""
        return b"/libcuda.so" in self._text

    def shared(self) -> list[tuple[int, int]]:
        """Return begin and end of the ranges that a forked child shares: it would see what the loop writes there."""
        return [(int(begin, 16), int(end, 16)) for begin, end in _SHARED.findall(self._text)]


def obstacle(mappings: Mappings, size_bytes: int) -> str:
    """Return why the state must not be copied by a forked child here, as a sentence; "" if it may.

    Args:
        mappings: of this process.
        size_bytes: of what is copied: so much more memory is needed if the loop writes to all of it meanwhile.
    """
    torch = sys.modules.get("torch")
    if mappings.has_cuda or (torch is not None and torch.cuda.is_initialized()):
        return "CUDA is in use, and its driver does not survive a fork"
    for name in _THREADED:
        if name in sys.modules:
            return f"{name} is loaded, whose threads a fork may break"
    for name in _LAUNCHED:
        if name in os.environ:
            return f"this is an MPI process ({name} is set)"
    if mappings.fabric:
        return f"{mappings.fabric} is loaded, whose network buffers must not be copied on write"
    left = available_bytes()
    if room_for(size_bytes) > left:
        return f"pages written to meanwhile may take {format_size(size_bytes)}, and {format_size(left)} are left"
    return ""


def shared_among(addresses: Sequence[tuple[int, int]], mappings: Mappings) -> frozenset[int]:
    """Return which leaves lie in shared memory.

    Args:
        addresses: of the leaves, sorted: (address, number of the leaf).
        mappings: of this process.
    """
    found: set[int] = set()
    for begin, end in mappings.shared():
        within = addresses[bisect_left(addresses, (begin, -1)) : bisect_left(addresses, (end, -1))]
        found.update(index for _, index in within)
    return frozenset(found)


class Child:
    """A forked child that copies. Wait for it before its memory is used for anything else.

    Args:
        copying: what it does.
    """

    def __init__(self, copying: Copying) -> None:
        self._copying = copying
        self._done = mmap.mmap(-1, 1)
        self._is_over = False
        self._parent = os.getpid()
        self._pid: int | None = None

    def start(self, *, compares: bool) -> None:
        """Fork it.

        Args:
            compares: see `Copying.run`.

        Raises:
            OSError: it could not be made.
        """
        self._copying.share()
        # the kernel's word is of the thread that forks, not of the process
        ends_with_us = threading.current_thread() is threading.main_thread()
        with _undisturbed():
            pid = os.fork()
            if pid == 0:
                self._copy(compares=compares, ends_with_parent=ends_with_us)
            self._pid = pid

    def _copy(self, *, compares: bool, ends_with_parent: bool) -> NoReturn:
        try:
            if ends_with_parent:
                _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() == self._parent:
                self._copying.run_alone(compares=compares)
                self._done[0] = 1
        finally:
            os._exit(0)  # whatever was raised: what counts is the mark

    def wait(self) -> None:
        """Wait until it has ended.

        Raises:
            OutlastError: it did not come to the end of its work, or nobody knows.
        """
        if self._pid is None:  # a signal's handler raised while we forked: it may live
            raise OutlastError("the forked process that copies the state was lost sight of")
        how = "somebody else took note of its end"  # a handler of SIGCHLD, or it is ignored
        if not self._is_over:
            try:
                _, status = os.waitpid(self._pid, 0)
            except ChildProcessError:
                pass
            else:
                how = f"its status: {os.waitstatus_to_exitcode(status)}"
            self._is_over = True
        if not self._done[0]:
            hint = 'what it copied is not used; leave out snapshot="fork" if this happens again'
            raise OutlastError(f"the forked process that copied the state died ({how})", hint=hint)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Fork in here: no signal, no collection of garbage, no warning about threads; in the child for good."""
    collects = gc.isenabled()
    gc.disable()  # the child must not run anybody's finalizers
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if collects:
            gc.enable()
