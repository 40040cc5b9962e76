"""A large file is filled by several threads: every byte in its place, whatever the storage refuses or cuts short."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from outlast.backends import Syscalls, writing
from outlast.backends.pace import Pace
from outlast.backends.writing import BLOCK_BYTES, Effort, Sink
from outlast.clock import SYSTEM
from outlast.testing import CountedCalls, Fault

PIECE_BYTES = 2 * BLOCK_BYTES
SIZE_BYTES = 7 * PIECE_BYTES + 1234


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "PIECE_BYTES", PIECE_BYTES)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT | os.O_DIRECT)
    yield fd
    os.close(fd)


def effort(workers: int) -> Effort:
    return Effort(workers=workers, nice=0, direct=True, pace=Pace(SYSTEM, None))


def blocks(how: str) -> tuple[bytes, list[memoryview]]:
    """The same bytes, as buffers that lie in memory in one way or the other."""
    data = random.Random(1).randbytes(SIZE_BYTES)
    room = memoryview(mmap.mmap(-1, SIZE_BYTES + BLOCK_BYTES))
    shift = 1 if how == "unaligned" else 0
    room[shift : shift + SIZE_BYTES] = data
    view = room[shift : shift + SIZE_BYTES]
    if how == "apart":
        return data, [memoryview(data[at : at + 777]) for at in range(0, SIZE_BYTES, 777)]
    if how == "touching":
        return data, [view[at : at + 777] for at in range(0, SIZE_BYTES, 777)]
    return data, [view]


def filled(calls: Syscalls, fd: int, views: list[memoryview], *, workers: int = 4, at: int = 0) -> bytes:
    """Fill the file, cut it, and read what it holds from `at` on through another descriptor."""
    sink = Sink(calls, fd, effort(workers), is_direct=True)
    end = sink.write(at, views)
    os.ftruncate(fd, end)
    return Path(f"/proc/self/fd/{fd}").read_bytes()[at:]


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("how", ["whole", "unaligned", "apart", "touching"])
@pytest.mark.parametrize("at", [0, BLOCK_BYTES, 3 * BLOCK_BYTES])
def test_every_byte_is_in_its_place(file: int, how: str, workers: int, at: int) -> None:
    data, views = blocks(how)
    assert filled(CountedCalls(), file, views, workers=workers, at=at) == data


def test_the_last_block_is_filled_up_with_zeros(file: int) -> None:
    """What an overwritten file or a buffer's last user left there does not get into a new one, cut or not."""
    os.pwrite(file, memoryview(mmap.mmap(-1, 2 * BLOCK_BYTES)), 0)
    work = effort(1)
    buffer = work.buffers.take()
    buffer[:] = b"x" * PIECE_BYTES
    work.buffers.give_back(buffer)
    Sink(Syscalls(), file, work, is_direct=True).write(0, [b"end"])
    assert Path(f"/proc/self/fd/{file}").read_bytes()[:BLOCK_BYTES] == b"end".ljust(BLOCK_BYTES, b"\0")


class NoDirect(CountedCalls):
    """Storage that lets itself be opened for direct I/O and then takes none.

    Of several threads that ask at the same time one hears of it when another one has already given it up.
    """

    def __init__(self, parties: int) -> None:
        super().__init__()
        self._first = threading.Barrier(parties)
        self.has_given_up = threading.Event()

    def pwrite(self, fd, data, at):
        if not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT:
            return super().pwrite(fd, data, at)
        if self._first.wait(60):
            self.has_given_up.wait(60)
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


class TellingSink(Sink):
    """Tells of it when it has given up direct I/O."""

    def _give_up_direct(self) -> None:
        super()._give_up_direct()
        self._calls.has_given_up.set()


@pytest.mark.parametrize("workers", [1, 2])
def test_direct_writes_that_are_refused_are_made_through_the_cache(file: int, workers: int) -> None:
    data, views = blocks("whole")
    end = TellingSink(NoDirect(workers), file, effort(workers), is_direct=True).write(0, views)
    os.ftruncate(file, end)
    assert Path(f"/proc/self/fd/{file}").read_bytes() == data


def test_the_same_refusal_through_the_cache_is_an_error(file: int) -> None:
    _, views = blocks("whole")
    calls = CountedCalls(Fault(at=1, errno=errno.EINVAL, only=("pwrite",), lasting=True))
    with pytest.raises(OSError, match="Invalid argument"):
        filled(calls, file, views)


@pytest.mark.parametrize("at", range(1, 9))
@pytest.mark.parametrize("workers", [1, 4])
def test_an_error_of_any_thread_is_raised(file: int, at: int, workers: int) -> None:
    _, views = blocks("whole")
    with pytest.raises(OSError, match="Input/output error"):
        filled(CountedCalls(Fault(at=at, errno=errno.EIO, only=("pwrite",))), file, views, workers=workers)


def test_after_an_error_nothing_new_is_begun(file: int) -> None:
    _, views = blocks("whole")
    calls = CountedCalls(Fault(at=2, errno=errno.EIO, only=("pwrite",)))
    with pytest.raises(OSError, match="Input/output error"):
        filled(calls, file, views, workers=1)
    assert calls.counts["pwrite"] == 2


@pytest.mark.parametrize("half", [BLOCK_BYTES, BLOCK_BYTES + 100])
def test_what_is_cut_short_is_gone_on_with(file: int, half: int) -> None:
    """At a block's end directly, elsewhere through the cache."""
    data, views = blocks("whole")

    class Short(CountedCalls):
        def pwrite(self, fd, data, at):
            if self.counts["pwrite"] < 3 and len(data) > half:
                self.counts["pwrite"] += 1
                with open(f"/proc/self/fd/{fd}", "r+b", buffering=0) as again:
                    return os.pwrite(again.fileno(), data[:half], at)
            return super().pwrite(fd, data, at)

    calls = Short()
    assert filled(calls, file, views, workers=1) == data
    assert calls.counts["buffered"] == (half % BLOCK_BYTES != 0)
