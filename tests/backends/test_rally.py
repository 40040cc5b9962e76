"""Two sides of one directory: delays and names that both want, over twin FUSE mounts that stand for two nodes."""

import errno
import os
import shutil
import threading
import time

import pytest

import fusekit
from outlast.backends import Posix, Syscalls, host, rally
from outlast.errors import DamageError, StorageError, UsageError
from outlast.testing import CountedCalls, Fault


class Answers(threading.Thread):
    """The other side. Its identity is this node's unless `boot` says otherwise."""

    def __init__(self, place):
        super().__init__()
        self.place, self.token, self.invited = place, "", threading.Event()
        self.got, self.error = None, None

    def invite(self, token):
        self.token = token
        self.start()

    def run(self):
        try:
            self.got = rally.answer(self.place, self.token)
        except Exception as e:
            self.error = e


def meet(mine, theirs):
    other = Answers(theirs)
    try:
        met = rally.call(mine, other.invite, wait_s=20.0)
    finally:
        if other.ident:
            other.join()
    return met, other


def test_two_sides_of_a_good_directory(tmp_path):
    met, other = meet(Posix(tmp_path), Posix(tmp_path))
    assert other.error is None
    assert met.is_exclusive
    assert (met.twice, met.nobodys) == (0, 0)
    assert met.mine + met.theirs == rally.NAMES
    assert other.got == met.theirs
    assert len(met.rounds_s) == rally.ROUNDS
    assert met.slowest_s == max(met.rounds_s) > 0
    assert (met.is_same_node, met.other) == (True, host.me().host)
    assert os.listdir(tmp_path) == []


def test_two_mounts_that_believe_what_they_saw(tmp_path):
    """As NFS does: absences are believed for a minute, and a name is exclusive all the same."""
    with (
        fusekit.mounted(tmp_path / "folder", tmp_path / "a", timeout_s=60) as mine,
        fusekit.mounted(tmp_path / "folder", tmp_path / "b", timeout_s=60) as theirs,
    ):
        met, other = meet(Posix(mine), Posix(theirs))
        assert other.error is None
        assert met.is_exclusive
        assert os.listdir(tmp_path / "folder") == []


def test_two_mounts_where_a_link_replaces_what_the_other_made(tmp_path):
    """No probe on one node finds this: its own kernel refuses the name before the server is asked."""
    how = {"timeout_s": 60, "overwrite": "want-"}
    with (
        fusekit.mounted(tmp_path / "folder", tmp_path / "a", **how) as mine,
        fusekit.mounted(tmp_path / "folder", tmp_path / "b", **how) as theirs,
    ):
        met, _ = meet(Posix(mine), Posix(theirs))
    assert not met.is_exclusive
    assert met.twice > 0


def test_nobody_comes(tmp_path):
    with pytest.raises(StorageError, match=r"did not show here within 0\.1 s\n  -> was the command started there"):
        rally.call(Posix(tmp_path), lambda _: None, wait_s=0.1)
    assert os.listdir(tmp_path) == []


def test_the_caller_is_broken_off(tmp_path):
    other = Answers(Posix(tmp_path))

    def invite(token):
        other.token = token
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rally.call(Posix(tmp_path), invite, wait_s=5.0)
    assert os.listdir(tmp_path) == []


def test_the_caller_is_gone_meanwhile(tmp_path, monkeypatch):
    monkeypatch.setattr(rally, "_ANSWER_S", 60.0)
    token = "0123456789ab"
    (tmp_path / f".tmp-rally-{token}").mkdir()
    other = Answers(Posix(tmp_path))
    other.invite(token)
    while not (tmp_path / f".tmp-rally-{token}" / "here").exists():
        time.sleep(0.01)
    shutil.rmtree(tmp_path / f".tmp-rally-{token}", ignore_errors=True)
    shutil.rmtree(tmp_path / f".tmp-rally-{token}", ignore_errors=True)
    other.join()
    assert isinstance(other.error, StorageError), other.error
    assert "is gone: the other node has given up" in str(other.error)


@pytest.mark.parametrize("token", ["", "x", "0123456789ag", "../../../etc", "0123456789abc"])
def test_what_is_no_token(tmp_path, token):
    with pytest.raises(UsageError, match="is no token"):
        rally.answer(Posix(tmp_path), token)


def test_no_such_call(tmp_path, monkeypatch):
    monkeypatch.setattr(rally, "_ANSWER_S", 0.1)
    with pytest.raises(StorageError, match=r"does not show the call of the other node"):
        rally.answer(Posix(tmp_path), "0123456789ab")


class Rots(Syscalls):
    """What this side writes for the other one changes on the way."""

    def writev(self, fd, buffers):
        data = b"".join(map(bytes, buffers))
        return super().writev(fd, [data[:-1] + b"?"] if len(data) == 16 else buffers)


def test_the_other_one_reads_something_else(tmp_path, monkeypatch):
    monkeypatch.setattr(rally, "_ANSWER_S", 60.0)
    with pytest.raises(DamageError, match="the other node read"):
        meet(Posix(tmp_path, calls=Rots()), Posix(tmp_path))
    assert os.listdir(tmp_path) == []


def test_storage_that_fails_meanwhile(tmp_path, monkeypatch):
    monkeypatch.setattr(rally, "_ANSWER_S", 60.0)
    calls = CountedCalls(Fault(at=9, errno=errno.EIO, lasting=True, only=("fsync",)))
    with pytest.raises(StorageError, match="Input/output error"):
        meet(Posix(tmp_path, calls=calls), Posix(tmp_path))
    assert os.listdir(tmp_path) == []
