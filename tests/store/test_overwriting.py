"""Overwriting the parts of pruned checkpoints: only what no table names, when its manifest's end is durable."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

import storekit
from largekit import Crowd, Large, Reusing, ReusingLeant
from outlast.errors import SpaceError
from outlast.store import Store
from outlast.store.prune import SPARE
from outlast.testing import CountedCalls, Fault
from storekit import Attempt


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


def parts(path: Path) -> dict[str, int]:
    """The inode of each part."""
    return {str(p.relative_to(path)): p.stat().st_ino for p in path.rglob("part-*")}


def spares(path: Path) -> list[Path]:
    return list(path.glob(f"{SPARE}*"))


def test_two_files_take_turns(path: Path) -> None:
    attempt = Reusing.begin(path)
    seen = []
    for step in range(1, 9):
        attempt.save(step, keep=1)
        seen.append(next(iter(parts(path).values())))
        storekit.all_good(path)
        assert len(parts(path)) == 1
    assert len(set(seen)) == 2
    assert seen[2:] == seen[:-2]


def test_a_part_is_free_when_nobody_names_it(path: Path) -> None:
    """Every second one is named by the checkpoint after it."""
    attempt = ReusingLeant.begin(path)
    for step in range(1, 12):
        attempt.save(step, keep=1)
        named = {part.path for part in Store(path).manifest(Store(path).checkpoints()[0]).parts}
        assert named == set(parts(path))
        storekit.all_good(path)
    assert len(named) <= 3


def test_nothing_is_set_aside_before_its_manifests_end_is_durable(path: Path) -> None:
    calls = CountedCalls()
    attempt = Reusing.begin(path, calls=calls)
    attempt.save(1)
    attempt.save(2)
    calls.log.clear()
    attempt.prune(1)  # what stays is made durable first
    order = [name for name in calls.log if name in ("unlink", "fsync", "lock")]
    assert order[:4] == ["fsync", "unlink", "fsync", "lock"]


def test_a_backup_by_links_stays_as_it_was(path: Path, tmp_path: Path) -> None:
    """`cp -al`: another name of the same files."""
    attempt = Reusing.begin(path)
    attempt.save(1, keep=1)
    backup = tmp_path / "backup"
    for file in [p for p in path.rglob("*") if p.is_file()]:
        (backup / file.relative_to(path)).parent.mkdir(parents=True, exist_ok=True)
        os.link(file, backup / file.relative_to(path))
    for step in range(2, 7):
        attempt.save(step, keep=1)
    assert storekit.newest(backup) == 1
    storekit.all_good(path)


def test_what_is_being_read_is_not_overwritten(path: Path) -> None:
    attempt = Reusing.begin(path)
    attempt.save(1, keep=1)
    part = path / next(iter(parts(path)))
    before = part.read_bytes()
    with part.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        for step in range(2, 6):
            attempt.save(step, keep=1)
        assert file.read() == before


@pytest.mark.parametrize("kit", [Large, Reusing, ReusingLeant])
def test_the_next_attempt_takes_what_a_killed_one_had_set_aside(path: Path, kit: type[Attempt]) -> None:
    attempt = Reusing.begin(path)
    for step in (1, 2):
        attempt.save(step, keep=1)
    assert len(spares(path)) == 1
    again = kit.begin(path, takeover=True)
    again.save(3)
    again.prune(1)
    assert [p.name for p in spares(path) if f"{SPARE}a0001" in p.name] == []
    again.writer.close()
    assert not spares(path)


def test_several_threads_write_what_one_would(path: Path) -> None:
    attempt = Crowd.begin(path)
    for step in range(1, 20):
        attempt.save(step, keep=2)
        storekit.all_good(path)
    assert storekit.counted_steps(path) == [19, 18]


def test_a_fenced_writer_overwrites_nothing_of_the_newer_one(path: Path) -> None:
    """It holds a spare while it is taken over; the newer one sweeps that away and saves."""
    zombie = Reusing.begin(path)
    zombie.save(1)
    zombie.save(2, keep=1)
    newer = Reusing.begin(path, takeover=True)
    assert newer.restore() == 2
    for step in (3, 4, 5):
        newer.save(step, keep=1)
    with pytest.raises(Exception, match="attempt"):
        zombie.save(3)
    storekit.all_good(path)
    assert newer.restore() == 5


def test_a_part_that_was_saved_long_ago_is_not_taken_for_a_leftover(path: Path) -> None:
    """The first prune of an attempt removes temporary files of an hour ago."""
    attempt = Reusing.begin(path)
    for step in (1, 2):
        attempt.save(step)
    for part in path.rglob("part-*"):
        os.utime(part, (1, 1))
    attempt.prune(1)
    assert len(spares(path)) == 1


@pytest.mark.parametrize("how", ["a link", "not ours to open"])
def test_what_cannot_be_opened_is_removed(path: Path, how: str) -> None:
    calls = CountedCalls()
    attempt = Reusing.begin(path, calls=calls)
    attempt.save(1)
    attempt.save(2)
    part = next((path / "step-000000001.a0001").glob("part-*"))
    if how == "a link":
        part.unlink()
        part.symlink_to(path / "step-000000002.a0001" / part.name)
    else:
        real = calls.open
        calls.open = lambda name, *more, **at: real(name, *more, **at) if name != part.name else _denied()  # type: ignore[method-assign]
    attempt.prune(1)
    assert not spares(path)
    assert [p.name for p in path.glob("step-*")] == ["step-000000002.a0001"]
    storekit.all_good(path)


def _denied() -> int:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def test_where_the_disk_is_full_nothing_is_kept_for_speed(path: Path) -> None:
    calls = CountedCalls()
    attempt = Reusing.begin(path, calls=calls)
    attempt.save(1)
    attempt.save(2, keep=1)
    assert len(spares(path)) == 1
    calls.fault = Fault(at=1, errno=errno.ENOSPC, only=("write",))
    with pytest.raises(SpaceError):
        attempt.writer.commit(storekit.draft(3))  # of a small part, which has no use for it
    assert not spares(path)
