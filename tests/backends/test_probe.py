"""What the probe finds on good storage, on storage that lies in one thing, and what it leaves behind: nothing."""

import errno
import os
import signal
import tempfile
import threading
from collections import Counter
from pathlib import Path

import pytest

import fusekit
import mounting
from outlast.backends import Syscalls
from outlast.backends.ground import BLOCK
from outlast.backends.probe import NAMES, probe
from outlast.clock import SYSTEM
from outlast.testing import CountedCalls, Fault
from storekit import BUG, in_child


def outcomes(found):
    return {one.name: one.outcome for one in found if one.outcome != "ok"}


def said(found, name):
    return next(one.said for one in found if one.name == name)


def except_replace(found):
    """What a server that looks up by path shows of a file being replaced depends on the moment."""
    return {name: outcome for name, outcome in outcomes(found).items() if name != "replace"}


@pytest.fixture
def place(tmp_path):
    """A directory with something in it that must stay as it is."""
    (tmp_path / "place").mkdir()
    yield from kept(tmp_path / "place")


@pytest.fixture
def quick_place():
    """The same in memory, where that can be: for many probes."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield from kept(Path(folder))


def kept(folder):
    (folder / "mine").write_text("mine")
    yield folder
    assert os.listdir(folder) == ["mine"]
    assert (folder / "mine").read_text() == "mine"


def test_good_storage(place):
    found = probe(str(place))
    assert tuple(one.name for one in found) == NAMES
    assert outcomes(found) == {}
    assert "24 races" in said(found, "race")


def test_syncs_are_timed(place):
    found = {one.name: one for one in probe(str(place))}
    for name in ("sync-file", "sync-directory", "commit"):
        assert 0 <= found[name].figures["median_s"] <= found[name].figures["largest_s"]


def test_memory_has_all_calls(tmp_path):
    def work(report):
        mounting.enter()
        mounting.tmpfs(tmp_path / "small", "size=2g")
        report(repr(outcomes(probe(str(tmp_path / "small")))).encode())

    assert in_child(work) == (0, b"{}")


# -- storage that does wrong, one call at a time -----------------------------------------------------------------


class Overwrites(Syscalls):
    """A link replaces what is there."""

    def link(self, path, to, *, dir_fd):
        try:
            super().link(path, to, dir_fd=dir_fd)
        except FileExistsError:
            os.unlink(to, dir_fd=dir_fd)
            super().link(path, to, dir_fd=dir_fd)


class CopiesForALink(Syscalls):
    """A link makes another file: exclusive, but not atomic."""

    def link(self, path, to, *, dir_fd):
        source = os.open(path, os.O_RDONLY, dir_fd=dir_fd)
        target = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=dir_fd)
        os.write(target, os.read(source, 1 << 20))
        os.close(source)
        os.close(target)


class AnyInode(Syscalls):
    """As servers that make inode numbers up: each name has its own."""

    def stat(self, path, *, dir_fd):
        about = super().stat(path, dir_fd=dir_fd)
        return os.stat_result([about[0], hash(path) & 0xFFFF, *about[2:]])


class NotExclusive(Syscalls):
    def open(self, path, flags, mode=0o600, *, dir_fd=None):
        return super().open(path, flags & ~os.O_EXCL, mode, dir_fd=dir_fd)


class MakesAgain(Syscalls):
    def mkdir(self, path, mode=0o700, *, dir_fd=None):
        try:
            super().mkdir(path, mode, dir_fd=dir_fd)
        except FileExistsError:
            return


class RacyMkdir(MakesAgain):
    """Exclusive to one who comes later; not to those who come together."""

    def mkdir(self, path, mode=0o700, *, dir_fd=None):
        (super() if path.startswith("mkdir-") else Syscalls()).mkdir(path, mode, dir_fd=dir_fd)


class CopiesForARename(Syscalls):
    """The new name is written piece by piece, then the old one goes. Half of what replaces a file waits to be seen."""

    def __init__(self):
        self._is_half, self._is_seen = threading.Event(), threading.Event()

    def preadv(self, fd, buffers, at, flags=0):
        count = super().preadv(fd, buffers, at, flags)
        if self._is_half.is_set() and count == 0 and at < len(BLOCK):
            self._is_seen.set()
        return count

    def rename(self, path, to, *, dir_fd, to_dir_fd):
        if os.path.isdir(f"/proc/self/fd/{dir_fd}/{path}"):
            super().rename(path, to, dir_fd=dir_fd, to_dir_fd=to_dir_fd)
            return
        if to == "target":
            self._is_half.set()
        source = os.open(path, os.O_RDONLY, dir_fd=dir_fd)
        target = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600, dir_fd=to_dir_fd)
        while piece := os.read(source, 512):
            os.write(target, piece)
            if self._is_half.is_set():
                self._is_seen.wait(30.0)
                self._is_seen.set()
        os.close(source)
        os.close(target)
        os.unlink(path, dir_fd=dir_fd)


class KeepsTheOldName(Syscalls):
    def rename(self, path, to, *, dir_fd, to_dir_fd):
        if os.path.isfile(f"/proc/self/fd/{dir_fd}/{path}"):
            os.link(path, to, src_dir_fd=dir_fd, dst_dir_fd=to_dir_fd)
        else:
            super().rename(path, to, dir_fd=dir_fd, to_dir_fd=to_dir_fd)


class Rots(Syscalls):
    """What was synced reads back with one bit turned."""

    def fsync(self, fd):
        super().fsync(fd)
        if os.path.basename(os.readlink(f"/proc/self/fd/{fd}")) == "read-back":
            with open(f"/proc/self/fd/{fd}", "r+b") as file:
                byte = file.read(1)[0]
                file.seek(0)
                file.write(bytes([byte ^ 1]))


class OldListings(Syscalls):
    def scandir(self, fd):
        return [entry for entry in super().scandir(fd) if not entry[0].startswith("listed-")]


class WideModes(Syscalls):
    def stat(self, path, *, dir_fd):
        about = super().stat(path, dir_fd=dir_fd)
        return os.stat_result([about[0] | 0o055, *about[1:]])


class Squashes(Syscalls):
    def stat(self, path, *, dir_fd):
        about = super().stat(path, dir_fd=dir_fd)
        return os.stat_result([*about[:4], 65534, *about[5:]])


class Follows(Syscalls):
    def open(self, path, flags, mode=0o600, *, dir_fd=None):
        return super().open(path, flags & ~os.O_NOFOLLOW, mode, dir_fd=dir_fd)


class ShortNames(Syscalls):
    def open(self, path, flags, mode=0o600, *, dir_fd=None):
        if len(path) == 255:
            raise OSError(errno.ENAMETOOLONG, "File name too long")
        return super().open(path, flags, mode, dir_fd=dir_fd)


class Late(Syscalls):
    def stat(self, path, *, dir_fd):
        about = super().stat(path, dir_fd=dir_fd)
        return os.stat_result([*about[:8], about[8] + 3600, *about[9:10]])


class AppendsAnywhere(Syscalls):
    def open(self, path, flags, mode=0o600, *, dir_fd=None):
        return super().open(path, flags & ~os.O_APPEND, mode, dir_fd=dir_fd)


class CutsNothing(Syscalls):
    def truncate(self, fd, size_bytes):
        pass


class Forgets(Syscalls):
    """Every second piece of a write is lost, silently."""

    def writev(self, fd, buffers):
        done = sum(map(len, buffers))
        if done > 1:
            super().writev(fd, [b"".join(map(bytes, buffers))[: done // 2]])
        return done


@pytest.mark.parametrize(
    ("calls", "found", "name", "text"),
    [
        (Overwrites, {"link": "failed", "race": "failed", "commit": "ok"}, "link", "replaced a name that was taken"),
        (CopiesForALink, {"link": "failed"}, "link", "not the same file under a second name"),
        (AnyInode, {"link": "warning"}, "link", "different inodes"),
        (NotExclusive, {"exclusive": "failed", "race": "failed"}, "exclusive", "O_EXCL opened a file that was there"),
        (MakesAgain, {"exclusive": "failed", "race": "failed"}, "exclusive", "mkdir made a directory that was there"),
        (RacyMkdir, {"race": "failed", "exclusive": "ok"}, "race", "4 of 4 got the same name by mkdir"),
        (CopiesForARename, {"replace": "warning", "rename": "ok"}, "replace", "replaced by a rename is torn"),
        (KeepsTheOldName, {"rename": "failed"}, "rename", "still there under its old name"),
        (Rots, {"read-back": "failed"}, "read-back", "did not come back as it was written"),
        (OldListings, {"listing": "failed"}, "listing", "does not show a file that was just made"),
        (WideModes, {"permissions": "warning"}, "permissions", "655 and 755 came"),
        (Squashes, {"permissions": "warning"}, "permissions", "belong to user 65534"),
        (Follows, {"no-follow": "failed"}, "no-follow", "followed in spite of O_NOFOLLOW"),
        (ShortNames, {"long-names": "warning"}, "long-names", "255 bytes is refused"),
        (Late, {"clock": "warning"}, "clock", "60 min ahead of"),
        (AppendsAnywhere, {"append": "failed"}, "append", "does not stand at its end"),
        (CutsNothing, {"append": "failed"}, "append", "cut is not what it was"),
        (Forgets, {"write": "failed"}, "write", "does not hold what was written"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_storage_that_lies(tmp_path, calls, found, name, text):
    got = probe(str(tmp_path), calls=calls())
    told = {one.name: one.outcome for one in got}
    assert found.items() <= told.items()
    assert text in said(got, name)
    if calls is not OldListings:  # which cannot be cleared either, and says so
        assert os.listdir(tmp_path) == []


def test_what_cannot_be_removed_is_named(tmp_path):
    got = probe(str(tmp_path), calls=OldListings())
    assert outcomes(got) == {"listing": "failed", "remove": "failed"}
    (left,) = os.listdir(tmp_path)
    assert left.startswith(".tmp-doctor-")
    assert said(got, "remove").startswith(f"{left} could not be removed: ")


@pytest.mark.parametrize(
    ("only", "number", "failed"),
    [
        ("fsync", errno.EIO, {"sync-file", "sync-directory", "commit", "read-back", "append"}),
        ("fsync", errno.ENOSYS, {"sync-file", "sync-directory", "commit", "read-back", "append"}),
        ("link", errno.EPERM, {"link", "race", "commit"}),
        ("rename", errno.EXDEV, {"rename", "replace"}),
        ("utime", errno.EPERM, {"append"}),
        ("truncate", errno.EOPNOTSUPP, {"append"}),
    ],
)
def test_a_call_that_never_works(place, only, number, failed):
    found = probe(str(place), calls=CountedCalls(Fault(at=1, errno=number, lasting=True, only=(only,))))
    assert {name for name, outcome in outcomes(found).items() if outcome == "failed"} == failed
    assert os.strerror(number) in said(found, min(failed))


def test_no_symbolic_links_and_no_forgetting_are_well(place):
    calls = CountedCalls(Fault(at=1, errno=errno.EPERM, lasting=True, only=("symlink", "forget")))
    found = probe(str(place), calls=calls)
    assert outcomes(found) == {}
    assert "none can be planted" in said(found, "no-follow")
    assert "cannot be asked to forget" in said(found, "read-back")


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.ESTALE])
def test_one_failed_call_anywhere_is_a_finding_and_leaves_nothing(quick_place, number):
    """Every call fails once in turn: no error escapes, something is said, nothing is left."""
    counted = CountedCalls()
    probe(str(quick_place), calls=counted)
    silent = Counter()
    for kind, count in counted.counts.items():
        last = min(count, 30) if kind in ("open", "read", "close") else count  # a reader makes as many as it can
        for at in range(1, last + 1, 1 + last // 12):
            found = probe(str(quick_place), calls=CountedCalls(Fault(at=at, errno=number, only=(kind,))))
            assert tuple(one.name for one in found) == NAMES
            assert os.listdir(quick_place) == ["mine"], (kind, at)
            silent[kind] += not outcomes(found)
    for kind in ("link", "rename", "mkdir", "truncate", "utime", "symlink"):
        assert silent[kind] == 0, kind
    for kind in ("create", "write", "fsync", "stat"):  # a commit writes anew what failed
        assert silent[kind] < 6, kind


def test_storage_that_goes_away_meanwhile(tmp_path):
    """From some call on everything fails: it is said what stayed."""
    for at in (2, 5, 50, 200):
        (tmp_path / str(at)).mkdir()
        found = probe(str(tmp_path / str(at)), calls=CountedCalls(Fault(at=at, errno=errno.EIO, lasting=True)))
        assert outcomes(found)["remove"] == "failed"


@pytest.mark.parametrize("at", [2, 3, 20, 90, 150, -1, -2, -40])
def test_broken_off_by_ctrl_c(quick_place, at):
    """Nothing is left: in a process of its own, for the tests' own may be answered by another thread."""
    if at < 0:  # while it clears up
        counted = CountedCalls()
        probe(str(quick_place), calls=counted)
        calls = CountedCalls(Fault(at=counted.counts["unlink"] + at + 1, signal=signal.SIGINT, only=("unlink",)))
    else:
        calls = CountedCalls(Fault(at=at, signal=signal.SIGINT))
    status, told = in_child(lambda _: probe(str(quick_place), calls=calls))
    assert (status >> 8, told) == (BUG, b"bug:KeyboardInterrupt()\n")
    assert os.listdir(quick_place) == ["mine"]


class HeardElsewhere(CountedCalls):
    """At an unlink while it clears up Ctrl-C comes, and a thread that is not the main one hears it."""

    def __init__(self):
        super().__init__()
        self._other = threading.Thread(target=threading.Event().wait, daemon=True)
        self._other.start()

    def unlink(self, path, *, dir_fd=None):
        super().unlink(path, dir_fd=dir_fd)
        if self.counts["unlink"] == 30:
            signal.pthread_kill(self._other.ident, signal.SIGINT)
            for _ in range(5000):  # until it is raised here
                SYSTEM.sleep(0.001)


def test_ctrl_c_that_another_thread_hears(quick_place):
    status, told = in_child(lambda _: probe(str(quick_place), calls=HeardElsewhere()))
    assert (status >> 8, told) == (BUG, b"bug:KeyboardInterrupt()\n")
    assert os.listdir(quick_place) == ["mine"]


def test_killed(tmp_path):
    """What a kill leaves is a directory whose name readers ignore."""
    calls = CountedCalls(Fault(at=90, signal=signal.SIGKILL))
    status, _ = in_child(lambda _: probe(str(tmp_path), calls=calls))
    assert status == signal.SIGKILL
    assert [name[:12] for name in os.listdir(tmp_path)] == [".tmp-doctor-"]


# -- real file systems that refuse -------------------------------------------------------------------------------


def test_no_directory(tmp_path):
    found = probe(str(tmp_path / "none"))
    assert tuple(one.name for one in found) == NAMES
    assert outcomes(found)["write"] == "failed"
    assert "No such file or directory" in said(found, "write")


def test_read_only(tmp_path):
    def work(report):
        mounting.enter()
        mounting.tmpfs(tmp_path / "small", "size=1m")
        mounting.remount(tmp_path / "small", "size=1m", read_only=True)
        found = probe(str(tmp_path / "small"))
        assert outcomes(found) == {n: "failed" if n == "write" else "skipped" for n in NAMES}
        report(said(found, "write").encode())

    status, told = in_child(work)
    assert status == 0, told
    assert told.decode() == f"a directory cannot be made in {tmp_path / 'small'}: Read-only file system"


@pytest.mark.parametrize("options", ["size=40k", "nr_inodes=4"])
def test_full(tmp_path, options):
    def work(report):
        mounting.enter()
        mounting.tmpfs(tmp_path / "small", options)
        found = probe(str(tmp_path / "small"))
        assert os.listdir(tmp_path / "small") == []
        assert outcomes(found)["commit"] == "failed"
        assert "No space left on device" in said(found, "commit")
        report(outcomes(found)["space"].encode())

    assert in_child(work) == (0, b"warning")


def test_another_users_directory(tmp_path):
    place = tmp_path / "theirs"
    place.mkdir(mode=0o755)

    def work(report):
        os.chdir(place)
        if os.getuid() == 0:
            os.setuid(65534)
        else:
            place.chmod(0o555)
        report(said(probe("."), "write").encode())

    status, told = in_child(work)
    place.chmod(0o755)
    assert (status, told) == (0, b"a directory cannot be made in .: Permission denied")
    assert os.listdir(place) == []


@pytest.mark.parametrize(
    ("how", "failed"),
    [
        ({}, {}),
        ({"timeout_s": 5}, {}),
        ({"fail": {"fsync": errno.EIO}}, dict.fromkeys(("sync-file", "commit", "read-back", "append"), "failed")),
        ({"fail": {"fsyncdir": errno.EIO}}, dict.fromkeys(("sync-directory", "commit"), "failed")),
        ({"fail": {"fsync": errno.ENOSYS, "fsyncdir": errno.ENOSYS}}, {}),  # the kernel says that all is well
        ({"fail": {"link": errno.EPERM}}, dict.fromkeys(("link", "race", "commit"), "failed")),
        ({"late": True}, {"rename": "failed"}),
        ({"fail": {"symlink": errno.EPERM}}, {}),
    ],
    ids=["good", "stale", "fsync-EIO", "fsyncdir-EIO", "fsync-ENOSYS", "no-link", "late-rename", "no-symlink"],
)
def test_fuse(tmp_path, how, failed):
    with fusekit.mounted(tmp_path / "folder", tmp_path / "mount", **how) as mount:
        assert except_replace(probe(str(mount))) == failed
        assert os.listdir(tmp_path / "folder") == []
