"""Filling a large new file: pieces from several threads, past the kernel's cache where the storage lets us.

Direct I/O wants memory, place and length in whole blocks. What lies in memory as it will lie in the file is written
from where it is; the rest goes through a few buffers that are kept.
"""

from __future__ import annotations

import errno
import itertools
import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from outlast.backends import memory
from outlast.backends.base import Buffer
from outlast.backends.crew import each
from outlast.backends.pace import Pace
from outlast.backends.syscalls import Syscalls

BLOCK_BYTES = 4096  # what direct I/O wants on every file system known here
PIECE_BYTES = 4 << 20  # of the file: one call writes so much
_COPIED_WITHOUT_US_BYTES = 64 << 10  # from here on a copy lets other threads run meanwhile
_MOST_JOINED = 1 << 13  # more buffers than that are not looked at one by one for whether they touch in memory

Before = Callable[[int, int], None]


class Buffers:
    """Memory in whole blocks, a piece long each, kept for the next use."""

    def __init__(self) -> None:
        self._free: list[mmap.mmap] = []

    def take(self) -> mmap.mmap:
        """Return one. Raises MemoryError."""
        try:
            return self._free.pop()
        except IndexError:
            pass
        try:
            buffer = mmap.mmap(-1, PIECE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # shared has no huge pages
        except OSError as e:
            raise MemoryError(f"{PIECE_BYTES} bytes for a buffer: {e.strerror}") from e
        with suppress(OSError):  # a kernel without them: slower, not wrong
            buffer.madvise(mmap.MADV_HUGEPAGE)
        return buffer

    def give_back(self, buffer: mmap.mmap) -> None:
        self._free.append(buffer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What one file's writing may take.

    Args:
        workers: threads, the caller's among them.
        nice: the priority of the others.
        direct: past the kernel's cache, where the storage lets us.
        pace: the limit of the rate.
        buffers: what is kept between files.
    """

    workers: int
    nice: int
    direct: bool
    pace: Pace
    buffers: Buffers = field(default_factory=Buffers)


class Sink:
    """A file that is being filled, at any place, in any order. Its owner cuts it to its length and syncs it.

    Args:
        calls: the storage calls.
        fd: open for writing, with O_DIRECT if `is_direct`.
        effort: how.
    """

    def __init__(self, calls: Syscalls, fd: int, effort: Effort, *, is_direct: bool) -> None:
        self._calls, self._fd, self._effort, self.is_direct = calls, fd, effort, is_direct

    def write(self, at: int, blocks: Sequence[Buffer], before: Before | None = None) -> int:
        """Write buffers one behind the other; return where they end.

        Args:
            at: where in the file, in whole blocks.
            blocks: contiguous buffers. The last block of the file is filled up with zeros.
            before: is told of each range of the file, [begin, end), before it is written; by several threads.

        Raises:
            OSError: the storage refused.
            MemoryError: there is no room for buffers.
        """
        if at % BLOCK_BYTES:
            raise AssertionError(f"{at} is not at a block's beginning")
        pieces = list(_pieces(at, _joined(blocks)))

        def put(number: int) -> None:
            place, views = pieces[number]
            size_bytes = sum(map(len, views))
            if before:
                before(place, place + size_bytes)
            self._effort.pace.take(size_bytes)
            self._put(place, views, size_bytes)

        each(put, len(pieces), self._effort.workers, nice=self._effort.nice)
        return at + sum(memoryview(block).nbytes for block in blocks)

    def _put(self, at: int, views: list[memoryview], size_bytes: int) -> None:
        if len(views) == 1 and self._can_stay(views[0]):
            self._write_all(views[0], at)
            return
        buffer = self._effort.buffers.take()
        try:
            with memoryview(buffer) as room:
                self._write_all(room[: _gathered(views, room, size_bytes)], at)
        finally:
            self._effort.buffers.give_back(buffer)

    def _can_stay(self, view: memoryview) -> bool:
        """Whether it can be written from where it is."""
        if not self.is_direct:
            return True
        return len(view) % BLOCK_BYTES == 0 and memory.address_of(view) % BLOCK_BYTES == 0

    def _write_all(self, data: memoryview, at: int) -> None:
        done = 0
        while done < len(data):
            was_direct = self.is_direct  # another thread may give it up while this one's call is on its way
            try:
                count = self._calls.pwrite(self._fd, data[done:], at + done)
            except OSError as e:
                if e.errno != errno.EINVAL or not was_direct:
                    raise
                self._give_up_direct()
                continue
            if count <= 0:
                raise OSError(errno.EIO, "the file system took no byte")
            done += count
            if self.is_direct and done < len(data) and done % BLOCK_BYTES:
                self._give_up_direct()  # the rest does not begin at a block

    def _give_up_direct(self) -> None:
        """Go on through the kernel's cache: this storage wants other blocks, or wrote a part of one."""
        self._calls.buffered(self._fd)
        self.is_direct = False


def is_direct_refused(error: OSError) -> bool:
    """Whether an open failed because there is no direct I/O here."""
    return error.errno == errno.EINVAL


def flags(direct: bool) -> int:  # noqa: FBT001  (a fact, not a switch)
    """Return what an open for direct I/O asks for."""
    return os.O_DIRECT if direct else 0


def _joined(blocks: Sequence[Buffer]) -> list[memoryview]:
    """Return the bytes of buffers; those that touch in memory as one view. The buffers must be held meanwhile."""
    views = [memoryview(block).cast("B") for block in blocks if memoryview(block).nbytes]
    if not 1 < len(views) <= _MOST_JOINED:
        return views
    joined = []
    begin = end = memory.address_of(views[0])
    first = 0
    for number, view in enumerate(itertools.chain(views, [None])):
        address = -1 if view is None else memory.address_of(view)
        if number and address != end:
            joined.append(views[first] if number == first + 1 else memory.at_address(begin, end - begin))
            first, begin = number, address
        end = address + (0 if view is None else len(view))
    return joined


def _pieces(at: int, views: Sequence[memoryview]) -> Iterator[tuple[int, list[memoryview]]]:
    """Deal a range of the file out in pieces that end where a multiple of their length is."""
    piece: list[memoryview] = []
    begin = place = at
    for view in views:
        done = 0
        while done < len(view):
            room = PIECE_BYTES - place % PIECE_BYTES
            part = view[done : done + room]
            piece.append(part)
            done += len(part)
            place += len(part)
            if place % PIECE_BYTES == 0:
                yield begin, piece
                piece, begin = [], place
    if piece:
        yield begin, piece


def _gathered(views: Sequence[memoryview], room: memoryview, size_bytes: int) -> int:
    """Copy views one behind the other; return how long that is, in whole blocks, zeros at the end."""
    at = 0
    base = memory.address_of(room)
    for view in views:
        if len(view) >= _COPIED_WITHOUT_US_BYTES:
            memory.copy(base + at, memory.address_of(view), len(view))
        else:
            room[at : at + len(view)] = view
        at += len(view)
    full = -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES
    room[at:full] = bytes(full - at)
    return full
