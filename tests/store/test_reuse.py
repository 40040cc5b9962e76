"""Blocks that are used again: which part may be overwritten, when, and what becomes of it otherwise."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

import storekit
from outlast.backends.effort import IO
from outlast.format.model import LeafBytes
from outlast.store import Draft, Pruner, Store, Writer, share

SIZE = 100_000


@pytest.fixture(autouse=True)
def all_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share, "LARGE_FROM_BYTES", 1)


class Book:
    def __init__(self, path: Path, *, reuse: bool = True, lean: int = 0, takeover: bool = False) -> None:
        attempt = storekit.Attempt.begin(path, takeover=takeover)
        self.path, self.store, self.lease = path, attempt.store, attempt.lease
        self.writer = Writer(attempt.lease, self.store.clock, store=self.store.id, lean=lean, io=IO(threads=1))
        self.pruner = Pruner(attempt.lease, store=self.store.id, reuse=reuse)

    def save(self, step: int, keep: int = 1) -> None:
        data = bytes([step]) * SIZE
        leaf = LeafBytes(path="u", dtype="uint8", shape=(SIZE,), data=memoryview(data))
        committed = self.writer.commit(Draft(step=step, tree={"u": {"$": "array", "leaf": "u"}}, leaves=[leaf]))
        self.pruner.learn(committed.manifest, committed.manifest_bytes, is_durable=True)
        counted, _ = self.pruner.look()
        self.pruner.remove([one.name for one in counted[keep:]])
        self.writer.overwrite(self.pruner.spare())
        with self.store.source(committed.manifest) as source:
            assert source.read("u") == data

    def inode(self, step: int) -> int:
        return os.stat(self.path / f"step-{step:09d}.a{self.lease.attempt:04d}" / "part-00000.safetensors").st_ino

    def spares(self) -> list[str]:
        return [name for name in os.listdir(self.path) if name.startswith(".tmp-")]


def test_the_blocks_of_a_pruned_part_are_those_of_the_next(tmp_path):
    book = Book(tmp_path / "s")
    inodes = []
    for step in range(1, 7):
        book.save(step)
        inodes.append(book.inode(step))
    assert inodes[2:] == [inodes[0], inodes[1], inodes[0], inodes[1]]
    assert len(book.spares()) == 1
    book.writer.close()
    assert book.spares() == []
    assert [name.step for name in Store(tmp_path / "s").checkpoints()] == [6]


def test_unless_it_is_asked_for_nothing_is_used_again(tmp_path):
    book = Book(tmp_path / "s", reuse=False)
    for step in range(1, 5):
        book.save(step)
        assert book.spares() == []


@pytest.mark.parametrize("how", ["linked", "read"])
def test_a_part_that_somebody_has_is_left_to_them(tmp_path, how):
    """A backup made of hard links, and a reader in the midst of it."""
    book = Book(tmp_path / "s")
    book.save(1)
    part = tmp_path / "s" / "step-000000001.a0001" / "part-00000.safetensors"
    with open(part, "rb") as held:
        if how == "linked":
            os.link(part, tmp_path / "backup")
        else:
            fcntl.flock(held, fcntl.LOCK_SH)
        expected = held.read()
        for step in (2, 3, 4):
            book.save(step)
        held.seek(0)
        assert held.read() == expected
    assert expected.endswith(bytes([1]) * SIZE)


def test_a_part_that_a_later_checkpoint_names_is_not_used_again(tmp_path):
    book = Book(tmp_path / "s", lean=3)
    data = memoryview(b"\7" * SIZE)
    for step in (1, 2, 3):
        leaf = LeafBytes(path="u", dtype="uint8", shape=(SIZE,), data=data)
        committed = book.writer.commit(Draft(step=step, tree={"u": {"$": "array", "leaf": "u"}}, leaves=[leaf]))
        book.pruner.learn(committed.manifest, committed.manifest_bytes, is_durable=True)
        counted, _ = book.pruner.look()
        book.pruner.remove([one.name for one in counted[1:]])
        assert book.pruner.spare() is None
    with book.store.source(committed.manifest) as source:
        assert source.read("u") == data


def test_of_two_spares_the_larger_is_kept(tmp_path):
    book = Book(tmp_path / "s")
    for step in (1, 2, 3):
        book.save(step, keep=9)
    counted, _ = book.pruner.look()
    for one in counted[1:]:
        book.pruner.remove([one.name])
        book.writer.overwrite(book.pruner.spare())
    assert len(book.spares()) == 1


def test_what_a_killed_attempt_set_aside_is_removed_by_the_next(tmp_path):
    book = Book(tmp_path / "s")
    book.save(1)
    book.save(2)
    assert len(book.spares()) == 1
    os.utime(tmp_path / "s" / book.spares()[0])  # of a moment ago: not for its age
    other = Book(tmp_path / "s", takeover=True)
    other.save(3)
    assert len(other.spares()) <= 1
    assert all("-a0002-" in name for name in other.spares())
    other.writer.close()
    assert other.spares() == []


def test_a_spare_that_vanished_is_no_loss(tmp_path):
    book = Book(tmp_path / "s")
    book.save(1)
    book.save(2)
    (tmp_path / "s" / book.spares()[0]).unlink()
    book.save(3)
    book.writer.close()
