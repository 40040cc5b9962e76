"""Memory kept between snapshots, so that at most one extra copy of the state ever exists."""

from __future__ import annotations

import mmap

_ALIGN = 8  # where a leaf begins, so that it can be written as items of its dtype
_SLACK = 8  # reserve an eighth more than asked for: untouched pages cost nothing, growing costs a fresh mapping


class Pool:
    """One anonymous mapping that grows when needed.

    A snapshot's leaves are views of it. The next snapshot into the same pool releases them: using an
    old one raises ``ValueError`` instead of reading bytes of another step.
    """

    __slots__ = ("_capacity_bytes", "_issued", "_memory")

    def __init__(self) -> None:
        self._memory: mmap.mmap | None = None
        self._capacity_bytes = 0
        self._issued: list[memoryview] = []

    @property
    def capacity_bytes(self) -> int:
        """Return the size of the mapping."""
        return self._capacity_bytes

    def divide(self, sizes_bytes: list[int]) -> list[memoryview]:
        """Return a writable view for each size, one behind the other. Earlier views are released.

        Raises:
            BufferError: an earlier view is still being read (a mistake of the caller).
        """
        self.release()
        self._reserve(sum(map(_aligned, sizes_bytes)))
        if self._memory is None:
            self._issued = [memoryview(bytearray()) for _ in sizes_bytes]
        else:
            with memoryview(self._memory) as whole:
                self._issued = _consecutive(whole, sizes_bytes)
        return self._issued

    def release(self) -> None:
        """Release the views of the snapshot before; keep the memory."""
        for view in self._issued:
            view.release()
        self._issued = []

    def _reserve(self, size_bytes: int) -> None:
        if size_bytes <= self._capacity_bytes:
            return
        self._memory = None  # free the old mapping first
        self._capacity_bytes = size_bytes + size_bytes // _SLACK
        self._memory = mmap.mmap(-1, self._capacity_bytes)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            _advise(self._memory)


def _advise(memory: mmap.mmap) -> None:
    try:
        memory.madvise(mmap.MADV_HUGEPAGE)
    except OSError:  # a kernel without huge pages: slower, not wrong
        return


def _consecutive(whole: memoryview, sizes_bytes: list[int]) -> list[memoryview]:
    views, begin = [], 0
    for size in sizes_bytes:
        views.append(whole[begin : begin + size])
        begin += _aligned(size)
    return views


def _aligned(size_bytes: int) -> int:
    return -(-size_bytes // _ALIGN) * _ALIGN
