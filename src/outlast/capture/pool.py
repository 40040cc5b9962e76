"""Memory kept between snapshots, so that at most one extra copy of the state ever exists."""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
import weakref
from itertools import accumulate
from typing import Any

from outlast.backends.memory import address_of
from outlast.capture.budget import available_bytes, room_for
from outlast.capture.forking import Child
from outlast.errors import OutlastError
from outlast.units import format_size

_ALIGN = 8  # where a leaf begins, so that it can be written as items of its dtype
_SLACK = 8  # reserve an eighth more than asked for: untouched pages cost nothing, growing costs a fresh mapping
_PLENTY = 4  # times the state: parameters, gradients and what Adam keeps are as much
_SHARED = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS
_PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
_POPULATE_WRITE = 23  # MADV_POPULATE_WRITE, Linux 5.14
_TOUCHED_BYTES = 4 << 20  # at a time: meanwhile no other thread can map memory

_madvise = ctypes.CDLL(None, use_errno=True).madvise
_madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_keep_for_good = ctypes.pythonapi.Py_IncRef
_keep_for_good.argtypes = (ctypes.py_object,)
_keep_for_good.restype = None

_NOT_INHERITED: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()


def _leave_to_parent() -> None:
    """In a forked child: never unmap what it has not got. By now its own arrays, or its heap, may lie there."""
    for memory in _NOT_INHERITED:
        _keep_for_good(memory)


os.register_at_fork(after_in_child=_leave_to_parent)


class Pool:
    """One anonymous mapping that grows when needed.

    A snapshot's leaves are views of it. A snapshot of another layout into the same pool releases them: using an
    old one raises ``ValueError`` instead of reading bytes of another step. One of the same layout uses them again.
    While forked children live (data-loader workers), a write must not copy each page anew: so the memory is either
    shared with them, or not theirs at all.

    Args:
        limit_bytes: the most that it may take, even where the machine, the cgroups and the process's limits have more.
        is_private: not for forked children. Then it has huge pages, and the storage takes it half as fast again.

    Attributes:
        number: of the last snapshot that was begun in it.
        held_number: of the one whose bytes it holds, all of them; None if a snapshot has not come to its end.
        placed: where the leaves of that layout lie; None after `divide` for another.
        child: a forked process that may still write into it.
    """

    __slots__ = (
        "__weakref__",
        "_capacity_bytes",
        "_is_private",
        "_issued",
        "_limit_bytes",
        "_memory",
        "_pid",
        "_touched_bytes",
        "_toucher",
        "child",
        "held_number",
        "number",
        "placed",
    )

    def __init__(self, limit_bytes: int | None = None, *, is_private: bool = False) -> None:
        self._limit_bytes, self._is_private = limit_bytes, is_private
        self._memory: mmap.mmap | None = None
        self._capacity_bytes = 0
        self._issued: list[memoryview] = []
        self._pid = os.getpid()
        self._toucher: _Toucher | None = None
        self._touched_bytes = 0  # from the beginning, by snapshots: these pages are ours already
        self.number = 0
        self.held_number: int | None = None
        self.placed: Any = None
        self.child: Child | None = None

    @property
    def is_private(self) -> bool:
        """Return whether forked children do not have the memory."""
        return self._is_private

    @property
    def capacity_bytes(self) -> int:
        """Return the size of the mapping."""
        return self._capacity_bytes

    @property
    def address(self) -> int:
        """Return where the mapping begins; 0 before there is one."""
        if self._memory is None:
            return 0
        with memoryview(self._memory) as whole:
            return address_of(whole)

    def enter(self) -> None:
        """Make sure that nobody else writes into the memory, and that it is this process's: no forked child's."""
        if self.child is not None:
            child, self.child = self.child, None
            try:
                child.wait()
            except OutlastError:  # whoever asks for that snapshot is told
                self.clear()  # if it lives, it writes into memory that is nobody's
        if self._pid != os.getpid():
            self.clear()
            self._pid = os.getpid()

    def divide(self, sizes_bytes: list[int]) -> list[memoryview]:
        """Return a writable view for each size, one behind the other. Earlier views are released.

        Raises:
            BufferError: an earlier view is still being read (a mistake of the caller).
            MemoryError: there is no room, or there would be too little left; the pool is empty then.
        """
        self.release()
        self.placed = self.held_number = None
        size_bytes = needed_bytes(sizes_bytes)
        self._reserve(size_bytes)
        self._touched_bytes = max(self._touched_bytes, size_bytes)
        if self._memory is None:
            self._issued = [memoryview(bytearray()) for _ in sizes_bytes]
        else:
            with memoryview(self._memory) as whole:
                self._issued = _consecutive(whole, sizes_bytes)
        return self._issued

    def places(self, sizes_bytes: list[int]) -> list[int]:
        """Return the addresses of the views that `divide` gives for these sizes."""
        return list(accumulate(map(_aligned, sizes_bytes), initial=self.address))[:-1]

    def prepare(self, size_bytes: int) -> None:
        """Make room for a state, and touch the memory in a thread of its own: the first snapshot finds it ready.

        Only where memory is plenty: what the program is yet to take (gradients, an optimizer's state) is not known.

        Raises:
            MemoryError: there is no room.
        """
        if self.placed is not None or _PLENTY * room_for(size_bytes) > available_bytes():
            return  # a snapshot has made it ready, and lies there
        self._reserve(size_bytes)
        if self._memory is not None and size_bytes:
            with memoryview(self._memory) as whole:
                room = whole[:size_bytes]
            self._toucher = _Toucher(room)
            try:
                self._toucher.start()
            except RuntimeError:  # no thread: the first snapshot touches it
                self._toucher = None

    def clear(self) -> None:
        """Give the memory back."""
        self.release()
        self.placed = self.held_number = None
        self._drop()

    def _drop(self) -> None:
        if self._toucher is not None:
            self._toucher.stop()
            self._toucher = None
        self._memory, self._capacity_bytes, self._touched_bytes = None, 0, 0

    def release(self) -> None:
        """Release the views of the snapshot before; keep the memory."""
        for view in self._issued:
            view.release()
        self._issued = []

    def _reserve(self, size_bytes: int) -> None:
        if size_bytes <= self._capacity_bytes and self._is_there(size_bytes):
            return
        self._drop()  # free the old mapping first
        capacity_bytes = self._granted(size_bytes)
        try:
            self._memory = mmap.mmap(-1, capacity_bytes, flags=_PRIVATE if self._is_private else _SHARED)
            if self._is_private:
                self._memory.madvise(mmap.MADV_DONTFORK)
                _NOT_INHERITED.add(self._memory)
        except OSError as e:
            self._memory = None
            raise MemoryError(f"{capacity_bytes} bytes for a copy of the state: {e.strerror}") from e
        self._capacity_bytes = capacity_bytes
        _advise(self._memory)

    def _is_there(self, size_bytes: int) -> bool:
        """Whether so much of the mapping is ours or can be had: what was never touched the program may have by now."""
        ready_bytes = max(self._touched_bytes, self._toucher.done_bytes if self._toucher else 0)
        return size_bytes <= ready_bytes or room_for(size_bytes - ready_bytes) <= available_bytes()

    def _granted(self, size_bytes: int) -> int:
        """Return how much to map for so much. Pages that are never touched cost nothing but address space.

        Raises:
            MemoryError: it is more than there is.
        """
        if self._limit_bytes is not None and size_bytes > self._limit_bytes:
            raise MemoryError(
                f"a copy of the state takes {format_size(size_bytes)}; {format_size(self._limit_bytes)} are allowed"
            )
        left = available_bytes()
        if room_for(size_bytes) > left:
            raise MemoryError(
                f"a copy of the state takes {format_size(size_bytes)}; {format_size(left)} of memory are left"
            )
        slack_bytes = 0 if self._limit_bytes is not None else min(size_bytes // _SLACK, left - size_bytes)
        return size_bytes + slack_bytes


def needed_bytes(sizes_bytes: list[int]) -> int:
    """Return how much of a pool leaves of these sizes take."""
    return sum(map(_aligned, sizes_bytes))


def _advise(memory: mmap.mmap) -> None:
    try:
        memory.madvise(mmap.MADV_HUGEPAGE)
    except OSError:  # a kernel without huge pages: slower, not wrong
        return


class _Toucher(threading.Thread):
    """Has the pages of a room made, some at a time, beside whatever is written into them meanwhile."""

    def __init__(self, room: memoryview) -> None:
        super().__init__(name="outlast-pool", daemon=True)
        self._room = room
        self._is_wanted = True
        self.done_bytes = 0

    def run(self) -> None:
        with self._room as room:
            begin = address_of(room)
            for at in range(0, room.nbytes, _TOUCHED_BYTES):
                size = min(_TOUCHED_BYTES, room.nbytes - at)
                if not self._is_wanted or _madvise(begin + at, size, _POPULATE_WRITE) != 0:
                    return  # an older kernel, or no memory: the first snapshot meets it, where it can be told
                self.done_bytes = at + size

    def stop(self) -> None:
        """Have it end soon, and wait for that: it holds the memory."""
        self._is_wanted = False
        if self.is_alive():
            self.join()


def _consecutive(whole: memoryview, sizes_bytes: list[int]) -> list[memoryview]:
    ends = list(accumulate(map(_aligned, sizes_bytes)))
    return [
        whole[end - _aligned(size) : end - _aligned(size) + size] for end, size in zip(ends, sizes_bytes, strict=True)
    ]


def _aligned(size_bytes: int) -> int:
    return -(-size_bytes // _ALIGN) * _ALIGN
