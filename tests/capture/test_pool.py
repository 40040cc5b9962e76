"""Memory for snapshots: made once, ready before it is needed, one range without holes."""

from __future__ import annotations

import mmap
import os
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from outlast.backends.memory import address_of
from outlast.capture import Pool, snapshot


def resident_kib(address: int, size: int) -> int:
    """How much of a range is in memory, by the kernel's account."""
    with open("/proc/self/smaps") as smaps:
        lines = iter(smaps)
        for line in lines:
            if line.startswith(f"{address:x}-"):
                return next(int(inner.split()[1]) for inner in lines if inner.startswith("Rss:"))
    raise AssertionError(f"no mapping of {size} bytes at {address:x}")


def touched(pool: Pool) -> int:
    for thread in threading.enumerate():
        if thread.name == "outlast-pool":
            thread.join(60)
    return resident_kib(pool.address, pool.capacity_bytes)


def test_leaves_of_whole_words_lie_without_holes_from_a_page_on() -> None:
    pool = Pool()
    taken = snapshot({"a": np.zeros(3), "b": np.ones(1000), "c": np.float64(2)}, pool)
    begin = [address_of(leaf.data) for leaf in taken.leaves]
    assert begin == [pool.address, pool.address + 24, pool.address + 8024]
    assert pool.address % mmap.PAGESIZE == 0


def test_the_first_snapshot_finds_the_memory_ready() -> None:
    pool, size = Pool(), 9 << 20
    pool.prepare(size)
    assert touched(pool) >= size >> 10
    address = pool.address
    snapshot({"u": np.ones(size // 8)}, pool)
    assert pool.address == address


def test_only_what_is_asked_for_is_touched() -> None:
    pool, size = Pool(), 64 << 20
    pool.prepare(size)
    assert touched(pool) < (size + (1 << 20)) >> 10 < pool.capacity_bytes >> 10


def test_an_older_kernel_cannot_touch_it_and_that_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlast.capture.pool._POPULATE_WRITE", 9999)
    pool = Pool()
    pool.prepare(1 << 20)
    assert touched(pool) == 0
    assert bytes(snapshot({"u": np.ones(10)}, pool).leaves[0].data) == np.ones(10).tobytes()


def test_no_thread_to_touch_it_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    pool = Pool()
    pool.prepare(1 << 20)
    pool.divide([1 << 20])
    assert pool.capacity_bytes >= 1 << 20


def test_memory_that_the_program_may_need_itself_is_not_taken_early(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool()
    monkeypatch.setattr("outlast.capture.pool.available_bytes", lambda: 7 << 20)
    pool.prepare(1 << 20)
    assert pool.capacity_bytes == 0
    monkeypatch.setattr("outlast.capture.pool.available_bytes", lambda: 8 << 20)
    pool.prepare(1 << 20)
    assert pool.capacity_bytes > 0


def test_memory_that_was_not_touched_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program may have taken it since: an older kernel cannot touch it before, and a state may grow."""
    monkeypatch.setattr("outlast.capture.pool._POPULATE_WRITE", 9999)
    pool = Pool()
    pool.prepare(8 << 20)
    assert touched(pool) == 0
    monkeypatch.setattr("outlast.capture.pool.available_bytes", lambda: 8 << 20)
    with pytest.raises(MemoryError, match="8 MiB of memory are left"):
        pool.divide([8 << 20])
    assert pool.capacity_bytes == 0
    monkeypatch.setattr("outlast.capture.pool.available_bytes", lambda: 1 << 30)
    pool.divide([16 << 20])
    monkeypatch.setattr("outlast.capture.pool.available_bytes", lambda: 1 << 20)
    pool.divide([8 << 20, 8 << 20])  # it has these pages
    with pytest.raises(MemoryError, match="17 MiB"):
        pool.divide([17 << 20])


def test_what_is_allowed_is_not_taken_where_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlast.capture.pool.available_bytes", lambda: 1 << 20)
    with pytest.raises(MemoryError, match="1 MiB of memory are left"):
        Pool(1 << 30).divide([4 << 20])


def test_memory_that_a_snapshot_lies_in_is_not_made_anew() -> None:
    """After a restore the state may be smaller than it began: what it is rewound from would be left over."""
    pool, state = Pool(), {"u": np.ones(1000)}
    snapshot(state, pool)
    address, capacity_bytes = pool.address, pool.capacity_bytes
    pool.prepare(64 << 20)
    snapshot(state, pool)
    assert (pool.address, pool.capacity_bytes) == (address, capacity_bytes)


def test_nothing_is_made_ready_for_nothing() -> None:
    pool = Pool()
    pool.prepare(0)
    assert pool.capacity_bytes == 0
    assert pool.address == 0


def test_memory_that_is_being_touched_may_be_written_and_replaced() -> None:
    pool = Pool()
    pool.prepare(16 << 20)
    state = {"u": np.arange(4.0e6)}  # 32 MB: a larger pool, while the first is being touched
    taken = snapshot(state, pool)
    time.sleep(0.05)
    assert bytes(taken.leaves[0].data) == state["u"].tobytes()


def test_memory_given_back_is_asked_for_anew() -> None:
    pool = Pool()
    state = {"u": np.ones(1000)}
    snapshot(state, pool)
    pool.clear()
    assert pool.capacity_bytes == 0
    taken = snapshot(state, pool)
    assert taken.since is None
    assert bytes(taken.leaves[0].data) == state["u"].tobytes()


def test_memory_given_back_is_touched_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    touched: list[int] = []
    begun = threading.Event()

    def slow(at: int, _size: int, _advice: int) -> int:
        touched.append(at)
        begun.set()
        time.sleep(0.02)
        return 0

    monkeypatch.setattr("outlast.capture.pool._madvise", slow)
    monkeypatch.setattr("outlast.capture.pool.available_bytes", lambda: 100 << 30)
    pool = Pool()
    pool.prepare(2 << 30)
    begun.wait(30)
    toucher = pool._toucher
    pool.clear()
    assert len(touched) < 512  # pieces, ten seconds in all
    assert not toucher.is_alive()


def _in_a_child(work: Callable[[], bytes]) -> bytes:
    """Return what a forked child writes."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, work())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as told:
        found = told.read()
    os.waitpid(pid, 0)
    return found


def test_private_memory_is_not_a_forked_childs() -> None:
    """It has a copy of its own to make, and the parent's stays what it is; nothing of it is copied page by page."""
    pool, state = Pool(is_private=True), {"u": np.arange(100_000.0)}
    taken = snapshot(state, pool)

    def childs() -> bytes:
        own = snapshot({"u": np.full(100_000, 7.0)}, pool)
        return bytes(own.leaves[0].data[:8])

    assert _in_a_child(childs) == np.float64(7.0).tobytes()
    assert bytes(taken.leaves[0].data) == state["u"].tobytes()

    def maps() -> bytes:
        with open("/proc/self/maps") as lines:
            begins = [int(line.split("-")[0], 16) for line in lines]
        return b"there" if pool.address in begins else b"not there"

    assert _in_a_child(maps) == b"not there"


def test_a_forked_child_that_lets_go_of_private_memory_unmaps_nothing_of_its_own() -> None:
    """Where the parent's memory is, the child's next large array may lie."""
    size = 64 << 20
    pool = Pool(is_private=True)
    snapshot({"u": np.ones(size // 8)}, pool)
    begin, end = pool.address, pool.address + pool.capacity_bytes

    def childs() -> bytes:
        arrays = [np.full(size // 8, 7.0) for _ in range(8)]
        if not any(begin <= array.ctypes.data < end for array in arrays):
            return b"no array lies there"
        pool.clear()
        return b"all there" if all(np.all(array == 7.0) for array in arrays) else b"changed"

    assert _in_a_child(childs) == b"all there"


def test_a_child_that_copies_needs_shared_memory() -> None:
    with pytest.raises(AssertionError, match="does not have"):
        snapshot({"u": np.zeros(10)}, Pool(is_private=True), by_fork=True)
