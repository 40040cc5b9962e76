"""Reading large ranges: at any place and length, from the cache or past it, whatever the storage refuses."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from outlast.backends import Posix, Syscalls, memory
from outlast.backends.reading import BLOCK_BYTES, Room
from outlast.errors import DamageError, StorageError

DATA = bytes(range(251)) * 4000
HOLDS = 64 << 10  # a room so small that a range takes several
RANGES = [
    (0, 1),
    (1, 4095),
    (4095, 2),
    (4096, 4096),
    (8191, HOLDS),
    (12345, 3 * HOLDS + 77),
    (len(DATA) - 5, 5),
    (0, len(DATA)),
]


class Calls(Syscalls):
    """The real calls. `refuse` says what to answer a read with, by its flags and whether it is direct.

    `held` says which pages the kernel's cache is said to hold, by address; None: what is so.
    """

    def __init__(
        self,
        refuse: Callable[[int, bool], int] = lambda *_: 0,
        *,
        open_direct: int = 0,
        held: Callable[[int], bool] | None = None,
    ) -> None:
        self.refuse, self.open_direct, self.held = refuse, open_direct, held
        self.asked = 0
        self.direct: set[int] = set()
        self.reads: list[tuple[bool, bool]] = []
        self.most_bytes = 1 << 40

    def open(self, path: str, flags: int, mode: int = 0o600, *, dir_fd: int | None = None) -> int:
        if flags & os.O_DIRECT and self.open_direct:
            raise OSError(self.open_direct, os.strerror(self.open_direct), path)
        fd = super().open(path, flags, mode, dir_fd=dir_fd)
        self.direct.discard(fd)
        if flags & os.O_DIRECT:
            self.direct.add(fd)
        return fd

    def cached(self, address: int, size_bytes: int) -> bytearray:
        self.asked += 1
        if self.held is None:
            return super().cached(address, size_bytes)
        pages = range(address, address + size_bytes, mmap.PAGESIZE)
        return bytearray(self.held(at) for at in pages)

    def preadv(self, fd: int, buffers: Sequence[Any], at: int, flags: int = 0) -> int:
        is_direct = fd in self.direct
        self.reads.append((is_direct, bool(flags & os.RWF_NOWAIT)))
        code = self.refuse(flags, is_direct)
        if code:
            raise OSError(code, os.strerror(code))
        if self.most_bytes < len(buffers[0]):
            return os.preadv(fd, [buffers[0][: self.most_bytes]], at, 0)
        return super().preadv(fd, buffers, at, flags)


def made(tmp_path: Path, calls: Syscalls | None = None) -> Posix:
    (tmp_path / "f").write_bytes(DATA)
    with (tmp_path / "f").open("rb") as file:
        os.fsync(file.fileno())
    forget(tmp_path)
    return Posix(tmp_path, calls=calls)


def forget(tmp_path: Path) -> None:
    with (tmp_path / "f").open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def check(backend: Posix, *, direct: bool = True) -> None:
    room = Room(HOLDS, direct=direct)
    with backend.open("f") as file:
        for at, size in RANGES:
            view = memoryview(bytearray(size))
            file.fill(view, at, room)
            assert bytes(view) == DATA[at : at + size], (at, size)
            if size <= HOLDS:
                assert bytes(file.gather(at, size, room)) == DATA[at : at + size], (at, size)


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("is_cold", [True, False])
def test_ranges_of_any_place_and_length(tmp_path: Path, direct: bool, is_cold: bool) -> None:
    backend = made(tmp_path)
    if not is_cold:
        (tmp_path / "f").read_bytes()
    check(backend, direct=direct)


def test_a_room_lies_in_huge_pages_and_says_when_there_is_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(4 << 20, direct=True)
    address = memory.address_of(room.blocks)
    assert address % (2 << 20) == 0
    room.blocks[::BLOCK_BYTES] = bytes(len(range(0, len(room.blocks), BLOCK_BYTES)))
    monkeypatch.setattr(mmap, "mmap", lambda *_, **__: os.close(-1))
    with pytest.raises(MemoryError, match="to read into"):
        Room(4 << 20, direct=True)


def test_a_room_is_whole_blocks() -> None:
    room = Room(HOLDS, direct=True)
    for at in (0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, 5 * BLOCK_BYTES + 17):
        assert len(room.place(at, HOLDS)) == HOLDS


def test_only_what_is_asked_for_is_read_past_the_cache(tmp_path: Path) -> None:
    calls = Calls()
    backend = made(tmp_path, calls)
    check(backend, direct=False)
    assert set(calls.reads) == {(False, False)}
    assert not calls.direct


CASES = {
    "open": Calls(open_direct=errno.EINVAL),
    "open, not supported": Calls(open_direct=errno.EOPNOTSUPP),
    "direct": Calls(lambda _, is_direct: errno.EINVAL if is_direct else 0),
    "at once": Calls(lambda flags, _: errno.EOPNOTSUPP if flags else 0, held=lambda _: True),
    "at once, unknown": Calls(lambda flags, _: errno.ENOSYS if flags else 0, held=lambda _: True),
    "nothing cached": Calls(held=lambda _: False),
    "told what is not so": Calls(lambda flags, _: errno.EAGAIN if flags else 0, held=lambda _: True),
}


@pytest.mark.parametrize("case", CASES)
def test_what_the_storage_refuses_is_read_another_way(tmp_path: Path, case: str) -> None:
    calls = CASES[case]
    check(made(tmp_path, calls))
    refused = [read for read in calls.reads if read[0] or read[1]]
    assert len(refused) <= 2 or case in ("nothing cached", "told what is not so")  # refused once, not asked for again


def test_a_kernel_that_tells_what_is_not_so_is_not_asked_again(tmp_path: Path) -> None:
    calls = Calls(lambda flags, _: errno.EAGAIN if flags else 0, held=lambda _: True)
    check(made(tmp_path, calls))
    assert calls.asked == 1
    assert sum(at_once for _, at_once in calls.reads) == 1


def test_what_memory_holds_is_never_found_out_by_trying(tmp_path: Path) -> None:
    """To try has the kernel read what it does not hold, and then that is read twice."""
    calls = Calls(held=lambda _: False)
    check(made(tmp_path, calls))
    assert calls.asked
    assert all(is_direct and not at_once for is_direct, at_once in calls.reads)


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder whose files need not be in memory: /tmp is, in many places."""
    with tempfile.TemporaryDirectory(prefix="outlast-reading-", dir="/var/tmp") as folder:
        yield Path(folder)


@pytest.mark.parametrize("every", [2, 3, 7])
def test_what_is_held_in_part_is_taken_in_part(disk: Path, every: int) -> None:
    calls = Calls(held=lambda at: bool(at // mmap.PAGESIZE % every))
    backend = made(disk, calls)
    (disk / "f").read_bytes()
    check(backend)
    assert {(True, False), (False, True)} <= set(calls.reads)


def test_a_kernel_that_tells_nothing_is_not_asked_again(tmp_path: Path) -> None:
    calls = Calls()
    calls.held = lambda _: os.close(-1)  # type: ignore[func-returns-value]
    check(made(tmp_path, calls))
    assert calls.asked == 1


@pytest.mark.parametrize("most", [1, 1000, 4096, 10_000])
def test_short_answers_are_gone_on_with(tmp_path: Path, most: int) -> None:
    calls = Calls()
    backend = made(tmp_path, calls)
    calls.most_bytes = most
    room = Room(HOLDS, direct=True)
    with backend.open("f") as file:
        for at, size in ((0, 100), (4095, 5000), (777, 20_000 if most > 1 else 100)):
            view = memoryview(bytearray(size))
            file.fill(view, at, room)
            assert bytes(view) == DATA[at : at + size]
            assert bytes(file.gather(at, size, room)) == DATA[at : at + size]


@pytest.mark.parametrize("kind", ["at once", "direct", "plain"])
def test_an_error_of_the_storage_is_said(tmp_path: Path, kind: str) -> None:
    def refuse(flags: int, is_direct: bool) -> int:
        hit = {"at once": bool(flags), "direct": is_direct, "plain": not flags and not is_direct}[kind]
        if hit:
            return errno.EIO
        return errno.EAGAIN if flags else 0

    backend = made(tmp_path, Calls(refuse, open_direct=errno.EINVAL if kind == "plain" else 0, held=lambda _: True))
    room = Room(HOLDS, direct=True)
    with backend.open("f") as file:
        for call in (lambda: file.fill(memoryview(bytearray(9)), 0, room), lambda: file.gather(0, 9, room)):
            with pytest.raises(StorageError, match="f: Input/output error"):
                call()


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("cut", [0, 4096, 5000])
def test_a_file_that_is_cut_is_damage(tmp_path: Path, direct: bool, cut: int) -> None:
    room = Room(HOLDS, direct=direct)
    with made(tmp_path).open("f") as file:
        os.truncate(tmp_path / "f", cut)
        with pytest.raises(DamageError, match=rf"f ends at byte {cut}, expected 9000"):
            file.fill(memoryview(bytearray(9000)), 0, room)
        with pytest.raises(DamageError, match=rf"f ends at byte {max(cut, 100)}, expected 9100"):
            file.gather(100, 9000, room)


def test_what_was_exchanged_after_it_was_opened_is_read_as_it_was(tmp_path: Path) -> None:
    calls = Calls(lambda flags, _: errno.EAGAIN if flags else 0)
    with made(tmp_path, calls).open("f") as file:
        (tmp_path / "other").write_bytes(bytes(len(DATA)))
        os.replace(tmp_path / "other", tmp_path / "f")
        view = memoryview(bytearray(9000))
        file.fill(view, 0, Room(HOLDS, direct=True))
        assert bytes(view) == DATA[:9000]


def opened(folder: Path) -> list[str]:
    """The files below a folder that this process has open: others come and go."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{name}"))
    return sorted(path for path in found if path.startswith(str(folder)))


def test_closing_closes_all(tmp_path: Path) -> None:
    before = opened(tmp_path)
    file = made(tmp_path).open("f")
    file.fill(memoryview(bytearray(9000)), 0, Room(HOLDS, direct=True))
    file.close()
    file.close()
    assert opened(tmp_path) == before


# -- locks -------------------------------------------------------------------------------------------------


def lock(path: Path, how: int) -> int:
    fd = os.open(path, os.O_RDONLY)
    fcntl.flock(fd, how | fcntl.LOCK_NB)
    return fd


def test_nobody_can_take_what_is_shared(tmp_path: Path) -> None:
    backend = made(tmp_path)
    with backend.open("f", shared=True), backend.open("f", shared=True), pytest.raises(BlockingIOError):
        lock(tmp_path / "f", fcntl.LOCK_EX)
    os.close(lock(tmp_path / "f", fcntl.LOCK_EX))
    with backend.open("f"):
        os.close(lock(tmp_path / "f", fcntl.LOCK_EX))


def test_what_somebody_has_taken_is_gone(tmp_path: Path) -> None:
    backend = made(tmp_path)
    before = opened(tmp_path)
    held = lock(tmp_path / "f", fcntl.LOCK_EX)
    with pytest.raises(FileNotFoundError):
        backend.open("f", shared=True)
    os.close(held)
    assert opened(tmp_path) == before


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM])
def test_where_there_are_no_locks_it_is_opened(tmp_path: Path, code: int) -> None:
    class NoLocks(Syscalls):
        def lock(self, fd: int, how: int) -> None:
            raise OSError(code, os.strerror(code))

    with made(tmp_path, NoLocks()).open("f", shared=True) as file:
        assert file.size_bytes == len(DATA)


def test_another_error_of_the_lock_is_said(tmp_path: Path) -> None:
    class Broken(Syscalls):
        def lock(self, fd: int, how: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(StorageError, match="f: Input/output error"):
        made(tmp_path, Broken()).open("f", shared=True)


def test_what_was_exchanged_before_the_lock_is_gone(tmp_path: Path) -> None:
    class Slow(Syscalls):
        def lock(self, fd: int, how: int) -> None:
            (tmp_path / "other").write_bytes(DATA)
            os.replace(tmp_path / "other", tmp_path / "f")
            super().lock(fd, how)

    with pytest.raises(FileNotFoundError):
        made(tmp_path, Slow()).open("f", shared=True)
