"""Restores of files where the storage has no room for what is given out, or where a newer attempt has taken over."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from outlast.errors import FencedError, SpaceError, StorageError, UsageError
from outlast.store import Store
from outlast.store import files as taking
from outlast.testing import CountedCalls
from proof.scenarios import flip
from store.test_order import Named
from supervise.test_custody import Heard, begin, bring

_NEWEST = "step-000000002.a0001"


class Refusing(Named):
    """The real calls; one kind of them is refused in the folder that files are given out in.

    Attributes:
        call, number: which, and with which error; nothing, where `call` is empty.
        bad: the inode of a file that cannot be opened, by any name.
        until: nothing is refused any more where this is gone.
    """

    call, number, bad = "", 0, 0
    until: Path | None = None

    def _look(self, call: str, dir_fd: int | None, name: str) -> None:
        path = os.path.join(self.paths.get(dir_fd, ""), name)
        if call == self.call and ".restored" in path and (self.until is None or self.until.exists()):
            raise OSError(self.number, os.strerror(self.number), name)

    def open(self, path: str, flags: int, mode: int = 0o600, *, dir_fd: int | None = None) -> int:
        fd = super().open(path, flags, mode, dir_fd=dir_fd)
        if os.fstat(fd).st_ino == self.bad:
            self.close(fd)
            raise OSError(self.number, os.strerror(self.number), path)
        return fd

    def mkdir(self, path: str, mode: int = 0o700, *, dir_fd: int | None = None) -> None:
        self._look("mkdir", dir_fd, path)
        super().mkdir(path, mode, dir_fd=dir_fd)

    def link_across(self, path: str, to: str, *, dir_fd: int, to_dir_fd: int) -> None:
        self._look("link", to_dir_fd, to)
        super().link_across(path, to, dir_fd=dir_fd, to_dir_fd=to_dir_fd)

    def unlink(self, path: str, *, dir_fd: int) -> None:
        self._look("unlink", dir_fd, path)
        super().unlink(path, dir_fd=dir_fd)


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def path(tmp_path, heard):
    """A store with two checkpoints, each with a folder in a folder."""
    custody = begin(tmp_path / "s", heard)
    for step in (1, 2):
        place = bring(custody, step, a=b"%d" % step)
        (place / "in").mkdir()
        (place / "in" / "b").write_bytes(b"%d" % step)
        custody.take(str(step), step)
    custody.close("failed")
    return tmp_path / "s"


def refusing(path, call, number):
    calls = Refusing(path)
    calls.call, calls.number = call, number
    return calls


def is_untouched(path, heard):
    """Nothing was set aside, passed over or left behind, and the next attempt restores the newest."""
    assert not heard.warnings
    assert Store(path).quarantined() == ()
    assert not (path / "saves").exists()
    again = begin(path, heard)
    assert again.restored.step == 2
    assert Path(again.restored.folder, "in/b").read_bytes() == b"2"
    again.close("failed")
    return True


@pytest.mark.parametrize("call", ["mkdir", "link"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EMLINK])
def test_no_room_is_said_and_is_no_fault_of_a_checkpoint(path, heard, call, number):
    heeded = []
    with pytest.raises(SpaceError, match=os.strerror(number)) as caught:
        begin(path, heard, calls=refusing(path, call, number), heed=lambda: heeded.append(1))
    assert not heeded  # no file was read for it, which may take hours
    assert caught.value.exit_status == 1
    assert "outlast prune" in caught.value.hint
    assert is_untouched(path, heard)


@pytest.mark.parametrize("call", ["mkdir", "link"])
@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.EPERM])
def test_nor_is_a_folder_or_a_name_that_cannot_be_made(path, heard, call, number):
    with pytest.raises(StorageError, match=os.strerror(number)):
        begin(path, heard, calls=refusing(path, call, number))
    assert is_untouched(path, heard)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EACCES])
def test_nor_one_that_cannot_be_emptied(path, heard, number):
    """The files of the damaged one lie there: that one goes aside, and no other."""
    victim = path / _NEWEST / "files/state/in/b"
    victim.chmod(0o600)
    flip(victim)
    with pytest.raises(StorageError, match=os.strerror(number)):
        begin(path, heard, calls=refusing(path, "unlink", number))
    assert [name.step for name in Store(path).checkpoints()] == [1]
    assert len(Store(path).quarantined()) == 1
    again = begin(path, heard)
    assert again.restored.step == 1
    again.close("failed")


def test_room_is_made_before_a_restore_is_refused(path, heard):
    calls = refusing(path, "link", errno.ENOSPC)
    calls.until = path / "step-000000009.a0001"
    (calls.until / "files").mkdir(parents=True)
    again = begin(path, heard, calls=calls)
    assert again.restored.step == 2
    assert not calls.until.exists()
    again.close("failed")


def unreadable(path, name, number):
    calls = refusing(path, "", number)
    calls.bad = (path / _NEWEST / name).stat().st_ino
    return calls


@pytest.mark.parametrize("name", ["manifest.json", "files/state/in/b"])
def test_what_cannot_be_read_is_passed_over_and_left_where_it_is(path, heard, name):
    again = begin(path, heard, calls=unreadable(path, name, errno.EIO))
    assert again.restored.step == 1
    again.close("failed")
    assert f"{_NEWEST} cannot be read now" in heard.warnings[0]
    assert [name.step for name in Store(path).checkpoints()] == [2, 1]


@pytest.mark.parametrize("name", ["manifest.json", "files/state/in/b"])
def test_what_has_no_room_to_come_back_from_an_archive_is_not_passed_over(path, heard, name):
    with pytest.raises(SpaceError):
        begin(path, heard, calls=unreadable(path, name, errno.ENOSPC))
    assert is_untouched(path, heard)


def test_who_was_taken_over_from_hears_that_when_its_save_is_gone(path, heard):
    custody = begin(path, heard)
    bring(custody, "5", file=b"old")
    with pytest.raises(UsageError, match="'6' is neither a file nor a folder"):
        custody.take("6", 6)
    store = Store(path)
    store.claim(takeover=True)
    taking.remove_tree(store.backend, "saves")
    with pytest.raises(FencedError):
        custody.take("5", 5)


@pytest.mark.parametrize("call", ["mkdir", "link"])
def test_who_was_taken_over_from_hears_that_in_its_restore(path, heard, call):
    """All that it had listed is gone: no other kind of program, no damage."""

    def take_over(name):
        if name == call and (path / "journal/a0002.jsonl").exists() and not (path / "journal/a0003.jsonl").exists():
            store = Store(path)
            store.claim(takeover=True)
            for one in (_NEWEST, "step-000000001.a0001"):
                taking.remove_tree(store.backend, one)

    with pytest.raises(FencedError):
        begin(path, heard, calls=CountedCalls(hook=take_over))
    assert Store(path).quarantined() == ()


def test_who_was_taken_over_from_hears_that_as_it_begins(path, heard, monkeypatch):
    """What it has listed is being removed: that is no other kind of program."""
    scan, scans = Store.scan, []

    def take_over(store):
        found = scan(store)
        scans.append(store)
        if len(scans) == 2:  # the first was the claim's
            newer = Store(path)
            newer.claim(takeover=True)
            for one in (_NEWEST, "step-000000001.a0001"):
                newer.backend.remove(f"{one}/manifest.json")
                taking.remove_tree(newer.backend, f"{one}/files")
        return found

    monkeypatch.setattr(Store, "scan", take_over)
    with pytest.raises(FencedError):
        begin(path, heard)
