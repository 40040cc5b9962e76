"""A file that is nobody's any more is set aside and overwritten; never one that somebody reads or has a name for."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from outlast.backends import Posix
from outlast.backends.pace import Pace
from outlast.backends.publishing import TEMPORARY
from outlast.backends.writing import BLOCK_BYTES, Effort, Sink
from outlast.clock import SYSTEM
from outlast.errors import SpaceError
from outlast.testing import CountedCalls, Fault

OLD = b"old" * (3 * BLOCK_BYTES)
TO = f"{TEMPORARY}spare-a0001-00"
SHARE = fcntl.LOCK_SH | fcntl.LOCK_NB
EFFORT = Effort(workers=2, nice=0, direct=True, pace=Pace(SYSTEM, None))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root" / "d").mkdir(parents=True)
    (tmp_path / "root" / "d" / "part").write_bytes(OLD)
    return tmp_path / "root"


@contextmanager
def opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


def inode(path: Path) -> int:
    return path.stat().st_ino


def build(posix: Posix, data: bytes, spare: object) -> int:
    def fill(sink: Sink) -> int:
        return sink.write(0, [data])

    return posix.build("d/new", fill, bound_bytes=len(data), effort=EFFORT, spare=spare)


def names(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("size", [1, BLOCK_BYTES, len(OLD) - 1, len(OLD), len(OLD) + 5000])
def test_its_blocks_become_the_new_files(root: Path, size: int) -> None:
    """Of the old bytes none is left, at no length."""
    posix, was, data = Posix(root), inode(root / "d" / "part"), os.urandom(size)
    spare = posix.set_aside("d/part", TO)
    assert spare is not None
    assert names(root) == {TO}
    assert build(posix, data, spare) == size
    assert (root / "d" / "new").read_bytes() == data
    assert inode(root / "d" / "new") == was
    assert names(root) == {"d/new"}


def test_while_it_is_held_nobody_begins_to_read(root: Path) -> None:
    """Also while it is overwritten; afterwards everybody may."""
    posix = Posix(root)
    with opened(root / "d" / "part") as fd:
        spare = posix.set_aside("d/part", TO)
        with pytest.raises(BlockingIOError):
            fcntl.flock(fd, SHARE)

        def fill(sink: Sink) -> int:
            with pytest.raises(BlockingIOError):
                fcntl.flock(fd, SHARE)
            return sink.write(0, [b"new"])

        posix.build("d/new", fill, bound_bytes=3, effort=EFFORT, spare=spare)
        fcntl.flock(fd, SHARE)


def test_a_child_that_was_forked_meanwhile_keeps_nobody_from_reading(root: Path) -> None:
    """A loader's worker has all descriptors of the process that it was forked from, and with them the lock."""
    posix = Posix(root)
    spare = posix.set_aside("d/part", TO)
    child = os.fork()
    if child == 0:
        signal.pause()
    try:
        build(posix, b"new", spare)
        with opened(root / "d" / "new") as fd:
            fcntl.flock(fd, SHARE)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF, errno.EWOULDBLOCK])
def test_without_locks_nothing_is_taken(root: Path, code: int) -> None:
    posix = Posix(root, calls=CountedCalls(Fault(at=1, errno=code, only=("lock",))))
    assert posix.set_aside("d/part", TO) is None
    assert names(root) == {"d/part"}


@pytest.mark.parametrize("call", ["rename", "open", "fsync", "truncate", "pwrite", "allocate"])
@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
def test_a_failure_over_it_leaves_a_whole_new_file_and_nothing_else(root: Path, call: str, at: int) -> None:
    """In the same file again nothing is tried."""
    calls = CountedCalls()
    posix = Posix(root, calls=calls)
    spare = posix.set_aside("d/part", TO)
    calls.fault = Fault(at=at, errno=errno.EIO, only=(call,))
    data = os.urandom(2 * BLOCK_BYTES + 1)
    try:
        build(posix, data, spare)
    except Exception as e:
        assert call == "open", e  # of the directories: then the save fails
    else:
        assert (root / "d" / "new").read_bytes() == data
        assert names(root) == {"d/new"}


def test_a_full_disk_is_said_and_leaves_nothing(root: Path) -> None:
    calls = CountedCalls(Fault(at=1, errno=errno.ENOSPC, only=("allocate",)))
    posix = Posix(root, calls=calls)
    with pytest.raises(SpaceError):
        build(posix, b"new", posix.set_aside("d/part", TO))
    assert names(root) == set()
    assert calls.counts["pwrite"] == 0, "a full disk is known before anything is written"


def test_what_lets_nothing_be_reserved_is_written_all_the_same(root: Path) -> None:
    posix = Posix(root, calls=CountedCalls(Fault(at=1, errno=errno.EOPNOTSUPP, only=("allocate",), lasting=True)))
    build(posix, OLD, None)
    assert (root / "d" / "new").read_bytes() == OLD


def test_order_of_a_large_file(root: Path) -> None:
    """Its length, then its bytes' durability, and only then the name."""
    calls = CountedCalls()
    posix = Posix(root, calls=calls)
    spare = posix.set_aside("d/part", TO)
    calls.log.clear()
    build(posix, b"new", spare)
    seen = [name for name in calls.log if name not in ("open", "close", "stat")]
    assert seen == ["rename", "allocate", "pwrite", "truncate", "fsync", "link", "unlink", "lock"]
