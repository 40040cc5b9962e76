"""`Posix.replace`: another file in one's place, whole or not at all, of the mode that was asked for."""

import errno
import os
import stat

import pytest

from outlast.backends import Posix, Syscalls
from outlast.backends.publishing import TEMPORARY
from outlast.errors import SpaceError, StorageError


@pytest.fixture
def place(tmp_path):
    path = tmp_path / "script"
    path.write_bytes(b"old")
    path.chmod(0o640)
    return path


def leftovers(place):
    return [path.name for path in place.parent.iterdir() if path.name.startswith(TEMPORARY)]


@pytest.mark.parametrize("mode", [0o755, 0o600, 0o666, 0o2775])
def test_content_and_mode(place, mode):
    before = os.umask(0o077)
    try:
        assert Posix(place.parent).replace("script", [b"ne", memoryview(b"w")], mode=mode) == 3
    finally:
        os.umask(before)
    assert (place.read_bytes(), stat.S_IMODE(place.stat().st_mode)) == (b"new", mode)
    assert leftovers(place) == []


def test_who_has_it_open_keeps_the_old_one(place):
    with place.open("rb") as file:
        Posix(place.parent).replace("script", [b"new"], mode=0o644)
        assert file.read() == b"old"


def test_a_link_is_replaced_and_not_followed(place):
    link = place.parent / "link"
    link.symlink_to("script")
    Posix(place.parent).replace("link", [b"new"], mode=0o644)
    assert (link.is_symlink(), link.read_bytes(), place.read_bytes()) == (False, b"new", b"old")


class Failing(Syscalls):
    """One call fails, or all of its kind."""

    def __init__(self, call, number):
        self.call, self.number, self.order = call, number, []

    def _do(self, name, *args, **kwargs):
        self.order.append(name)
        if name == self.call:
            raise OSError(self.number, os.strerror(self.number))
        return getattr(super(), name)(*args, **kwargs)

    def writev(self, *args):
        return self._do("writev", *args)

    def chmod(self, *args):
        return self._do("chmod", *args)

    def fsync(self, *args):
        return self._do("fsync", *args)

    def rename(self, *args, **kwargs):
        return self._do("rename", *args, **kwargs)


@pytest.mark.parametrize("call", ["writev", "chmod", "fsync", "rename"])
def test_after_a_failure_the_old_one_is_there_alone(place, call):
    with pytest.raises(StorageError, match="Input/output error"):
        Posix(place.parent, calls=Failing(call, errno.EIO)).replace("script", [b"new"], mode=0o644)
    assert (place.read_bytes(), leftovers(place)) == (b"old", [])


def test_a_full_disk(place):
    with pytest.raises(SpaceError, match="needed 3 bytes"):
        Posix(place.parent, calls=Failing("writev", errno.ENOSPC)).replace("script", [b"new"], mode=0o644)
    assert (place.read_bytes(), leftovers(place)) == (b"old", [])


def test_it_is_durable_before_it_has_the_name(place):
    calls = Failing("", 0)
    Posix(place.parent, calls=calls).replace("script", [b"new"], mode=0o644)
    assert calls.order == ["writev", "chmod", "fsync", "rename"]
