"""Large files: every byte where it belongs, whatever the pieces, the threads, the storage's wishes and refusals."""

import errno
import fcntl
import itertools
import mmap
import os
import random
import threading

import pytest

from outlast.backends import Posix, memory, writing
from outlast.backends.pace import Pace
from outlast.backends.writing import BLOCK_BYTES, PIECE_BYTES, Effort
from outlast.clock import SYSTEM
from outlast.errors import SpaceError, StorageError
from outlast.testing import CountedCalls, Fault

HEAD = b"h" * BLOCK_BYTES


def effort(*, workers: int = 3, direct: bool = True) -> Effort:
    return Effort(workers=workers, nice=0, direct=direct, pace=Pace(SYSTEM, None))


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "root"
    path.mkdir()
    return path


def content(size_bytes: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size_bytes)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    blocks, at = [], 0
    for size in sizes:
        blocks.append(data[at : at + size])
        at += size
    return [*blocks, data[at:]]


def build(posix: Posix, blocks, *, how: Effort | None = None, spare=None, before=None) -> int:
    def fill(sink):
        end = sink.write(len(HEAD), blocks, before)
        sink.write(0, [HEAD])
        return end

    bound = len(HEAD) + sum(map(len, blocks))
    return posix.build("f", fill, bound_bytes=bound, effort=how or effort(), spare=spare)


def check(root, data: bytes) -> None:
    assert (root / "f").read_bytes() == HEAD + data
    assert [p.name for p in root.iterdir()] == ["f"]


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, PIECE_BYTES - BLOCK_BYTES, PIECE_BYTES, 2 * PIECE_BYTES + 17])
def test_every_byte_is_where_it_belongs(root, size, workers, direct):
    data = content(size)
    assert build(Posix(root), [data], how=effort(workers=workers, direct=direct)) == len(HEAD) + size
    check(root, data)


def test_many_small_and_large_blocks(root):
    sizes = [random.Random(3).choice([0, 1, 8, 100, 4096, 70_000, 1_000_003]) for _ in range(60)]
    data = content(sum(sizes) + 11)
    build(Posix(root), cut(data, sizes))
    check(root, data)


def test_more_blocks_than_are_looked_at_one_by_one(root):
    data = content(20_000 * 5)
    build(Posix(root), cut(data, [5] * 20_000))
    check(root, data)


def _paged(data: bytes) -> tuple[mmap.mmap, memoryview]:
    pages = mmap.mmap(-1, -(-len(data) // 4096) * 4096)
    pages[: len(data)] = data
    return pages, memoryview(pages)[: len(data)]


class Watched(CountedCalls):
    """Notes which memory is written from."""

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.places = []

    def pwrite(self, fd, data, at):
        self.places.append((memory.address_of(data), at, len(data)))
        return super().pwrite(fd, data, at)


def test_what_lies_in_whole_blocks_is_written_from_where_it_is(root):
    """Blocks that touch in memory are one: no copy on the way, one call for each piece."""
    data = content(2 * PIECE_BYTES)
    pages, view = _paged(data)
    calls = Watched()
    blocks = [view[: 1 << 20], view[1 << 20 : (1 << 20) + 24], view[(1 << 20) + 24 :]]
    build(Posix(root, calls=calls), blocks, how=effort(workers=1))
    begin = memory.address_of(view)
    own = [(address - begin, at - BLOCK_BYTES, size) for address, at, size in calls.places[:-1]]
    assert own == [
        (0, 0, PIECE_BYTES - BLOCK_BYTES),
        (PIECE_BYTES - BLOCK_BYTES, PIECE_BYTES - BLOCK_BYTES, PIECE_BYTES),
        (2 * PIECE_BYTES - BLOCK_BYTES, 2 * PIECE_BYTES - BLOCK_BYTES, BLOCK_BYTES),
    ]
    check(root, data)
    assert pages


def test_direct_writes_are_whole_blocks_and_the_file_is_cut_to_its_length(root):
    calls = Watched()
    data = content(3 * 4096 + 5)
    build(Posix(root, calls=calls), [data])
    assert all(address % 4096 == at % 4096 == size % 4096 == 0 for address, at, size in calls.places)
    assert calls.log.index("truncate") > max(i for i, name in enumerate(calls.log) if name == "pwrite")
    assert calls.log.index("truncate") < calls.log.index("fsync") < calls.log.index("link")
    check(root, data)


def test_before_hears_of_every_byte_once_and_before_it_is_written(root):
    data = content(3 * PIECE_BYTES)
    heard, lock = [], threading.Lock()

    def before(begin, end):
        with lock:
            heard.append((begin, end))

    class Late(CountedCalls):
        def pwrite(self, fd, data, at):
            with lock:
                assert at == 0 or any(begin <= at < end for begin, end in heard)
            return super().pwrite(fd, data, at)

    build(Posix(root, calls=Late()), [data], before=before)
    heard.sort()
    assert heard[0][0] == len(HEAD)
    assert heard[-1][1] == len(HEAD) + len(data)
    assert all(one[1] == other[0] for one, other in itertools.pairwise(heard))
    check(root, data)


# -- what storage refuses ----------------------------------------------------------------------------------


class NoDirect(CountedCalls):
    """Refuses direct I/O at the open, after the file was made, as Linux does."""

    def open(self, path, flags, mode=0o600, *, dir_fd=None):
        fd = super().open(path, flags & ~os.O_DIRECT, mode, dir_fd=dir_fd)
        if flags & os.O_DIRECT:
            self.close(fd)
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        return fd


@pytest.mark.parametrize(
    "calls",
    [
        NoDirect(),
        CountedCalls(Fault(at=1, errno=errno.EINVAL, only=("pwrite",))),
        CountedCalls(Fault(at=2, errno=errno.EINVAL, only=("pwrite",))),
        CountedCalls(Fault(at=1, errno=errno.EOPNOTSUPP, only=("allocate",))),
        CountedCalls(Fault(at=1, when="short", only=("pwrite",))),
        CountedCalls(Fault(at=2, when="short", lasting=True, only=("pwrite",))),
    ],
    ids=["open", "first-write", "second-write", "allocate", "short", "all-short"],
)
def test_where_direct_io_is_refused_the_file_is_the_same(root, calls):
    data = content(2 * PIECE_BYTES + 77)
    build(Posix(root, calls=calls), cut(data, [5, PIECE_BYTES]))
    check(root, data)


def test_without_direct_the_kernel_is_not_asked_for_it(root):
    class Counting(CountedCalls):
        asked = 0

        def open(self, path, flags, mode=0o600, *, dir_fd=None):
            self.asked += bool(flags & os.O_DIRECT)
            return super().open(path, flags, mode, dir_fd=dir_fd)

    calls = Counting()
    build(Posix(root, calls=calls), [content(10_000)], how=effort(direct=False))
    assert (calls.asked, calls.counts["buffered"]) == (0, 0)


@pytest.mark.parametrize(
    ("only", "at"),
    [
        ("pwrite", 1),
        ("pwrite", 2),
        *((name, 1) for name in ("allocate", "truncate", "fsync", "close", "create", "link")),
    ],
)
def test_a_full_disk_is_an_error_and_leaves_nothing(root, only, at):
    calls = CountedCalls(Fault(at=at, errno=errno.ENOSPC, lasting=True, only=(only,)))
    with pytest.raises(SpaceError, match="needed"):
        build(Posix(root, calls=calls), [content(2 * PIECE_BYTES)], how=effort(workers=1))
    assert list(root.iterdir()) == []


@pytest.mark.parametrize(("only", "number"), [("fsync", errno.EIO), ("pwrite", errno.EIO), ("close", errno.EIO)])
def test_a_condemned_file_is_written_anew_elsewhere(root, only, number):
    data = content(PIECE_BYTES + 9)
    calls = CountedCalls(Fault(at=1, errno=number, only=(only,)))
    build(Posix(root, calls=calls), [data], how=effort(workers=1))
    assert calls.counts["create"] == 2
    check(root, data)


def test_three_condemned_files_are_an_error(root):
    calls = CountedCalls(Fault(at=1, errno=errno.EIO, lasting=True, only=("fsync",)))
    with pytest.raises(StorageError, match="Input/output error"):
        build(Posix(root, calls=calls), [content(10_000)])
    assert calls.counts["create"] == 3
    assert list(root.iterdir()) == []


def test_an_error_in_one_thread_is_the_files_error(root):
    failed = threading.Event()

    class Once(CountedCalls):
        def pwrite(self, fd, data, at):
            if threading.current_thread().name == "outlast-io":
                failed.set()
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().pwrite(fd, data, at)

    class Waiting(Once):
        """The caller's thread leaves some work for the others."""

        def pwrite(self, fd, data, at):
            if threading.current_thread().name != "outlast-io":
                failed.wait(30)
            return super().pwrite(fd, data, at)

    with pytest.raises(SpaceError):
        build(Posix(root, calls=Waiting()), [content(6 * PIECE_BYTES)])
    assert list(root.iterdir()) == []


def test_storage_that_takes_nothing_is_an_error(root):
    class Deaf(CountedCalls):
        def pwrite(self, fd, data, at):
            return 0

    with pytest.raises(StorageError, match="took no byte"):
        build(Posix(root, calls=Deaf()), [content(10_000)])


# -- blocks that are used again ----------------------------------------------------------------------------


def old(root, name="old", size=3 * PIECE_BYTES):
    (root / name).write_bytes(content(size, seed=9))
    return os.stat(root / name).st_ino


@pytest.mark.parametrize("size", [100, PIECE_BYTES, 3 * PIECE_BYTES, 5 * PIECE_BYTES + 3])
def test_a_spare_is_overwritten_and_cut_to_the_new_length(root, size):
    inode = old(root)
    posix = Posix(root)
    spare = posix.set_aside("old", "spare")
    assert (spare.name, spare.size_bytes) == ("spare", 3 * PIECE_BYTES)
    data = content(size)
    build(posix, [data], spare=spare)
    check(root, data)
    assert os.stat(root / "f").st_ino == inode
    with open(root / "f") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it was let go of


def test_a_file_with_another_name_is_not_set_aside(root):
    old(root)
    os.link(root / "old", root / "backup")
    assert Posix(root).set_aside("old", "spare") is None
    assert sorted(p.name for p in root.iterdir()) == ["backup", "old"]


def test_a_link_that_is_made_later_saves_the_file_too(root):
    old(root)
    posix = Posix(root)
    spare = posix.set_aside("old", "spare")
    os.link(root / "spare", root / "backup")
    data = content(100)
    build(posix, [data], spare=spare)
    assert (root / "backup").read_bytes() == content(3 * PIECE_BYTES, seed=9)
    (root / "backup").unlink()
    check(root, data)


def test_a_file_that_somebody_reads_is_not_set_aside(root):
    old(root)
    with open(root / "old") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        assert Posix(root).set_aside("old", "spare") is None
    assert Posix(root).set_aside("old", "spare") is not None


def test_where_there_are_no_locks_nothing_is_set_aside(root):
    old(root)
    calls = CountedCalls(Fault(at=1, errno=errno.ENOLCK, only=("lock",)))
    assert Posix(root, calls=calls).set_aside("old", "spare") is None
    assert [p.name for p in root.iterdir()] == ["old"]


@pytest.mark.parametrize("kind", ["gone", "link", "dir"])
def test_a_spare_that_is_not_what_it_was_is_not_used(root, tmp_path, kind):
    old(root)
    posix = Posix(root)
    spare = posix.set_aside("old", "spare")
    victim = tmp_path / "victim"
    victim.write_bytes(b"not ours")
    (root / "spare").unlink()
    if kind == "link":
        (root / "spare").symlink_to(victim)
    data = content(5000)
    build(posix, [data], spare=spare)
    assert victim.read_bytes() == b"not ours"
    check(root, data)


def test_a_condemned_spare_is_not_tried_again(root):
    old(root)
    calls = CountedCalls()
    posix = Posix(root, calls=calls)
    spare = posix.set_aside("old", "spare")
    calls.fault = Fault(at=1, errno=errno.EIO, only=("fsync",))
    calls._matched = 0
    data = content(5000)
    build(posix, [data], spare=spare)
    check(root, data)
    assert calls.counts["create"] == 1
    assert calls.counts["pwrite"] == 4  # all of it twice, and the head


def test_buffers_are_kept(root):
    how = effort(workers=1)
    for size in (10, 20, 30):
        build(Posix(root), [content(size)], how=how)
        (root / "f").unlink()
    assert len(how.buffers._free) == 1


def test_a_place_within_a_block_is_a_mistake(root):
    with pytest.raises(AssertionError, match="not at a block's beginning"):
        Posix(root).build("f", lambda sink: sink.write(5, [b"x"]), bound_bytes=10, effort=effort())


def test_pieces_end_at_multiples():
    views = [memoryview(bytes(PIECE_BYTES))] * 2
    found = [(at, sum(map(len, parts))) for at, parts in writing._pieces(BLOCK_BYTES, views)]
    assert found == [(4096, PIECE_BYTES - 4096), (PIECE_BYTES, PIECE_BYTES), (2 * PIECE_BYTES, 4096)]
