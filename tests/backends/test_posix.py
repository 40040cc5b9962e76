"""The POSIX backend: its contract, planted links at every position, and syncs that fail."""

import errno
import os
import stat

import pytest

from outlast.backends import Entry, Posix, Syscalls
from outlast.backends.publishing import TEMPORARY
from outlast.errors import DamageError, SpaceError, StorageError

SECRET = b"not of this store"


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "root"
    path.mkdir()
    return path


@pytest.fixture
def posix(root):
    return Posix(root)


def read(backend, path):
    with backend.open(path) as file:
        data = bytearray(file.size_bytes)
        file.read_into(memoryview(data), 0)
    return bytes(data)


def leftovers(root):
    return [p for p in root.rglob("*") if p.name.startswith(TEMPORARY)]


# -- the contract ------------------------------------------------------------------------------------------


def test_create_and_read(posix, root):
    posix.make_dir("a")
    assert posix.create("a/f", [b"one", memoryview(b"two"), b"", bytearray(b"three")]) == 11
    assert read(posix, "a/f") == b"onetwothree"
    assert leftovers(root) == []


def test_a_file_of_many_pieces(posix):
    """More buffers than one call takes, and more bytes than one batch."""
    blocks = [bytes([i % 251]) * (i % 97) for i in range(3000)] + [b"\x5a" * (9 << 20)]
    assert posix.create("f", blocks) == sum(map(len, blocks))
    assert read(posix, "f") == b"".join(blocks)


def test_an_empty_file(posix):
    assert posix.create("f", []) == 0
    assert read(posix, "f") == b""


def test_create_is_exclusive(posix, root):
    posix.create("f", [b"first"])
    with pytest.raises(FileExistsError):
        posix.create("f", [b"second"])
    assert read(posix, "f") == b"first"
    posix.make_dir("d")
    with pytest.raises(FileExistsError):
        posix.create("d", [b"third"])
    assert leftovers(root) == []


def test_modes(posix, root):
    """0700 and 0600, whatever the umask would allow; stricter where it is."""
    before = os.umask(0)
    try:
        posix.make_dir("d")
        posix.create("d/f", [b"x"])
        os.umask(0o277)
        posix.create("g", [b"x"])
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((root / name).stat().st_mode) for name in ("d", "d/f", "g")]
    assert modes == [0o700, 0o600, 0o400]


def test_list(posix, root):
    posix.make_dir("d")
    posix.create("f", [b"x"])
    (root / "link").symlink_to("f")
    os.mkfifo(root / "pipe")
    assert posix.list("") == (
        Entry(name="d", kind="dir"),
        Entry(name="f", kind="file"),
        Entry(name="link", kind="other"),
        Entry(name="pipe", kind="other"),
    )
    assert posix.list("d") == ()


@pytest.mark.parametrize("path", ["none", "none/deeper"])
def test_a_missing_directory_is_empty(posix, path):
    assert posix.list(path) == ()


def test_a_missing_root_is_not_taken_for_an_empty_one(tmp_path):
    missing = Posix(tmp_path / "none")
    assert not missing.exists()
    with pytest.raises(StorageError, match=r"none is gone\n.*unmounted"):
        missing.list("")
    with pytest.raises(StorageError, match="none is gone"):
        missing.list("journal")
    assert missing.space().free_bytes == -1


def test_a_file_is_not_a_directory(posix):
    posix.create("f", [b"x"])
    for call in (posix.list, posix.sync):
        with pytest.raises(StorageError, match="f"):
            call("f")


@pytest.mark.parametrize("call", ["open", "appender", "remove"])
@pytest.mark.parametrize("path", ["none", "none/f"])
def test_a_missing_file_is_told_as_such(posix, call, path):
    with pytest.raises(FileNotFoundError):
        getattr(posix, call)(path)


def test_create_in_a_missing_directory(posix, root):
    with pytest.raises(FileNotFoundError):
        posix.create("none/f", [b"x"])
    assert not (root / "none").exists()


def test_reading_beyond_the_end_is_damage(posix):
    posix.create("f", [b"12345"])
    with posix.open("f") as file, pytest.raises(DamageError, match="f ends at byte 5, expected 7"):
        file.read_into(memoryview(bytearray(4)), 3)


def test_append(posix, root):
    posix.create("f", [b"one\n"])
    first, second = posix.appender("f"), posix.appender("f")
    first.append(b"two\n", sync=True)
    second.append(b"three\n", sync=False)
    first.append(b"four\n", sync=False)
    for each in (first, second):
        each.close()
        each.close()
    assert (root / "f").read_bytes() == b"one\ntwo\nthree\nfour\n"


def test_a_heartbeat_moves(posix, root):
    posix.create("f", [b"x"])
    os.utime(root / "f", (1000, 1000))
    then, now = posix.heartbeat("f")
    assert then == 1000 < now
    appender = posix.appender("f")
    appender.touch()
    appender.close()
    assert posix.heartbeat("f")[0] >= now
    assert leftovers(root) == []


def test_remove(posix, root):
    posix.make_dir("d")
    posix.create("d/f", [b"x"])
    with pytest.raises(StorageError):
        posix.remove("d")
    posix.remove("d/f")
    posix.remove("d")
    assert list(root.iterdir()) == []


def test_move(posix):
    posix.make_dir("d")
    posix.create("f", [b"x"])
    posix.move("f", "d/g")
    assert read(posix, "d/g") == b"x"
    posix.move("d", "e")
    assert read(posix, "e/g") == b"x"


@pytest.mark.parametrize("source", ["file", "dir"])
@pytest.mark.parametrize("target", ["file", "dir", "link", "dangling"])
def test_move_never_overwrites(posix, root, source, target):
    (root / "source").mkdir() if source == "dir" else (root / "source").write_bytes(b"source")
    (root / "other").write_bytes(b"other")
    to = root / "to"
    {
        "file": lambda: to.write_bytes(b"mine"),
        "dir": to.mkdir,
        "link": lambda: to.symlink_to("other"),
        "dangling": lambda: to.symlink_to("none"),
    }[target]()
    before = os.lstat(to)
    with pytest.raises(FileExistsError):
        posix.move("source", "to")
    assert (os.lstat(to).st_ino, os.lstat(to).st_mode) == (before.st_ino, before.st_mode)
    assert (root / "source").exists()


def test_move_of_what_is_missing(posix):
    with pytest.raises(FileNotFoundError):
        posix.move("none", "to")
    posix.create("f", [b"x"])
    with pytest.raises(FileNotFoundError):
        posix.move("f", "none/f")


def test_make_root_makes_parents(tmp_path):
    deep = Posix(tmp_path / "a" / "b" / "c")
    deep.make_root()
    deep.make_root()
    assert deep.exists()
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700


def test_make_root_over_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"mine")
    with pytest.raises(StorageError):
        Posix(tmp_path / "a" / "b").make_root()
    with pytest.raises(StorageError, match="it is not a directory"):
        Posix(tmp_path / "a").make_root()
    assert (tmp_path / "a").read_bytes() == b"mine"


# -- paths that leave the store ----------------------------------------------------------------------------

CALLS = {
    "open": lambda b, p: b.open(p),
    "create": lambda b, p: b.create(p, [b"x"]),
    "appender": lambda b, p: b.appender(p),
    "make_dir": lambda b, p: b.make_dir(p),
    "remove": lambda b, p: b.remove(p),
    "heartbeat": lambda b, p: b.heartbeat(p),
    "move from": lambda b, p: b.move(p, "free"),
    "move to": lambda b, p: b.move("mine", p),
    "list": lambda b, p: b.list(p),
    "sync": lambda b, p: b.sync(p),
}
OUTSIDE = ["..", "../secret", "d/../../secret", "d/..", "/d/f", "d//f", "./mine", "d/./f", ".", "d/", "//"]


@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize("call", CALLS)
def test_no_path_leaves_the_store(posix, root, call, path):
    secret = root.parent / "secret"
    secret.write_bytes(SECRET)
    (root / "d").mkdir()
    (root / "mine").write_bytes(b"mine")
    with pytest.raises(StorageError, match="is not a path inside the store"):
        CALLS[call](posix, path)
    assert secret.read_bytes() == SECRET
    assert sorted(p.name for p in root.iterdir()) == ["d", "mine"]


@pytest.mark.parametrize("call", [name for name in CALLS if name not in ("list", "sync")])
def test_the_store_itself_is_no_file(posix, root, call):
    (root / "mine").write_bytes(b"mine")
    with pytest.raises(StorageError, match="'' is not a path inside the store"):
        CALLS[call](posix, "")


# -- planted links -----------------------------------------------------------------------------------------


@pytest.fixture
def outside(tmp_path):
    """A folder beside the store that nothing may touch."""
    path = tmp_path / "outside"
    (path / "inner").mkdir(parents=True)
    (path / "f").write_bytes(SECRET)
    (path / "inner" / "f").write_bytes(SECRET)
    return path


def untouched(outside):
    found = {str(p.relative_to(outside)): p.read_bytes() for p in outside.rglob("*") if p.is_file()}
    return found == {"f": SECRET, "inner/f": SECRET}


@pytest.mark.parametrize(
    "case",
    [("d", "d/f"), ("d", "d/new"), ("d", "d/inner/f"), ("d/inner", "d/inner/f"), ("d/inner", "d/inner/new")],
)
@pytest.mark.parametrize("call", CALLS)
def test_a_link_on_the_way_is_not_followed(posix, root, outside, call, case):
    link, path = case
    (root / "mine").write_bytes(b"mine")
    if link == "d":
        (root / "d").symlink_to(outside)
    else:
        (root / "d").mkdir()
        (root / "d" / "inner").symlink_to(outside / "inner")
    with pytest.raises(StorageError):
        CALLS[call](posix, path)
    assert untouched(outside)


@pytest.mark.parametrize("target", ["file", "dir", "dangling"])
@pytest.mark.parametrize(
    "case",
    [
        ("open", (DamageError, StorageError)),
        ("create", FileExistsError),
        ("appender", StorageError),
        ("make_dir", FileExistsError),
        ("move to", FileExistsError),
        ("list", StorageError),
        ("sync", StorageError),
    ],
)
def test_a_link_at_the_end_is_not_followed(posix, root, outside, case, target):
    call, refusal = case
    (root / "mine").write_bytes(b"mine")
    (root / "x").symlink_to({"file": outside / "f", "dir": outside, "dangling": outside / "none"}[target])
    with pytest.raises(refusal):
        CALLS[call](posix, "x")
    assert (root / "x").is_symlink()
    assert untouched(outside)


@pytest.mark.parametrize("target", ["f", "inner", "none"])
def test_a_link_is_removed_and_moved_as_itself(posix, root, outside, target):
    (root / "x").symlink_to(outside / target)
    posix.move("x", "y")
    assert (root / "y").is_symlink()
    posix.remove("y")
    assert list(root.iterdir()) == []
    assert untouched(outside)


def test_a_fifo_or_socket_does_not_hang(posix, root):
    os.mkfifo(root / "pipe")
    with pytest.raises(DamageError, match="pipe is not a regular file"):
        posix.open("pipe")


def test_a_folder_is_not_a_file(posix):
    posix.make_dir("d")
    with pytest.raises(DamageError, match="d is not a regular file"):
        posix.open("d")


# -- what the storage refuses ------------------------------------------------------------------------------


class Failing(Syscalls):
    """Fails the first so many calls of a kind, and takes note of all."""

    def __init__(self, name, number, times=1):
        self.seen = []
        self.left = times
        self.name, self.number = name, number

    def _strike(self, name):
        self.seen.append(name)
        if name == self.name and self.left:
            self.left -= 1
            raise OSError(self.number, os.strerror(self.number))

    def fsync(self, fd):
        self._strike("fsync")
        super().fsync(fd)

    def writev(self, fd, buffers):
        self._strike("writev")
        return super().writev(fd, buffers)

    def link(self, path, to, *, dir_fd):
        self._strike("link")
        super().link(path, to, dir_fd=dir_fd)

    def close(self, fd):
        super().close(fd)
        self._strike("close")


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("call", ["fsync", "writev"])
def test_a_failed_sync_condemns_the_file(root, call, times):
    """It is written anew elsewhere, at most twice; never synced again."""
    calls = Failing(call, errno.EIO, times)
    posix = Posix(root, calls=calls)
    posix.create("f", [b"content"])
    assert calls.seen.count("writev") == times + 1
    assert calls.seen.count("fsync") == (times + 1 if call == "fsync" else 1)
    assert read(posix, "f") == b"content"
    assert leftovers(root) == []


def test_three_failed_syncs_are_an_error(root):
    calls = Failing("fsync", errno.EIO, 3)
    with pytest.raises(StorageError, match="f: Input/output error"):
        Posix(root, calls=calls).create("f", [b"content"])
    assert calls.seen.count("fsync") == 3
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("call", ["fsync", "writev", "link"])
def test_a_full_disk_is_not_tried_again(root, call, number):
    calls = Failing(call, number)
    with pytest.raises(SpaceError, match=r"f: .*: needed 7 bytes, \d+ bytes and -?\d+ files are free"):
        Posix(root, calls=calls).create("f", [b"content"])
    assert calls.seen.count("writev") == 1
    assert list(root.iterdir()) == []


def test_a_read_only_file_system_is_named(root):
    with pytest.raises(StorageError, match="the file system is read-only"):
        Posix(root, calls=Failing("writev", errno.EROFS)).create("f", [b"content"])


def test_a_failed_sync_of_a_directory_is_an_error(root):
    posix = Posix(root, calls=Failing("fsync", errno.EIO))
    with pytest.raises(StorageError, match="Input/output error"):
        posix.sync("")


def test_a_failed_sync_of_a_journal_is_an_error(root):
    Posix(root).create("f", [b"one\n"])
    appender = Posix(root, calls=Failing("fsync", errno.EIO)).appender("f")
    with pytest.raises(StorageError, match="Input/output error"):
        appender.append(b"two\n", sync=True)
    appender.close()


class Torn(Syscalls):
    """Half of what is appended reaches the disk, then it is full."""

    def writev(self, fd, buffers):
        os.write(fd, bytes(buffers[0])[: len(buffers[0]) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_what_a_failed_append_left_is_cut_off(root):
    Posix(root).create("f", [b"one\n"])
    appender = Posix(root, calls=Torn()).appender("f")
    with pytest.raises(SpaceError):
        appender.append(b"a line of some length\n", sync=True)
    appender.close()
    assert (root / "f").read_bytes() == b"one\n"


class Behind(Syscalls):
    """The file system's clock is 1,000 s behind, as on a server of its own."""

    def fstat(self, fd):
        found = super().fstat(fd)
        behind = list(found[:10])
        behind[stat.ST_MTIME] -= 1000
        return os.stat_result(behind, {"st_mtime": found.st_mtime - 1000})


def test_the_present_is_the_file_systems_not_this_nodes(root):
    """S-63: a heartbeat of now, by its clock, is 0 s old, whatever ours says."""
    posix = Posix(root, calls=Behind())
    posix.create("f", [b"x"])
    here = os.stat(root / "f").st_mtime
    os.utime(root / "f", (here - 1000,) * 2)
    then, now = posix.heartbeat("f")
    assert 0 <= now - then < 500


class LostAnswer(Syscalls):
    """A link that was carried out, and whose answer got lost on the network: tried again, it says EEXIST."""

    def link(self, path, to, *, dir_fd):
        super().link(path, to, dir_fd=dir_fd)
        super().link(path, to, dir_fd=dir_fd)


def test_a_link_whose_answer_was_lost_is_done(root):
    posix = Posix(root, calls=LostAnswer())
    posix.create("f", [b"content"])
    assert read(posix, "f") == b"content"
    assert leftovers(root) == []


class Meagre(Syscalls):
    """Takes and gives a few bytes a call, as calls may."""

    def writev(self, fd, buffers):
        return os.write(fd, bytes(buffers[0][:3]))

    def preadv(self, fd, buffers, at):
        return os.preadv(fd, [buffers[0][:2]], at)


def test_short_writes_and_reads_are_gone_on_with(root):
    posix = Posix(root, calls=Meagre())
    posix.create("f", [b"some", b"", b"content"])
    assert read(posix, "f") == b"somecontent"


class Swallowing(Syscalls):
    """Says that it wrote everything, and did not."""

    def writev(self, fd, buffers):
        return sum(len(b) for b in buffers)


def test_a_file_of_another_size_is_not_published(root):
    with pytest.raises(StorageError, match="wrote 7 bytes, the file has 0"):
        Posix(root, calls=Swallowing()).create("f", [b"content"])
    assert list(root.iterdir()) == []


class Leaking(Syscalls):
    """Counts what is open."""

    def __init__(self):
        self.open_fds = set()

    def open(self, *args, **kwargs):
        fd = super().open(*args, **kwargs)
        self.open_fds.add(fd)
        return fd

    def close(self, fd):
        self.open_fds.remove(fd)
        super().close(fd)


@pytest.mark.parametrize("path", ["d/f", "d/none", "none/f", "link/f", "x", "../x", "d"])
@pytest.mark.parametrize("call", CALLS)
def test_no_descriptor_is_left_open(root, outside, call, path):
    calls = Leaking()
    posix = Posix(root, calls=calls)
    (root / "d").mkdir()
    (root / "d" / "f").write_bytes(b"x")
    (root / "mine").write_bytes(b"x")
    (root / "link").symlink_to(outside)
    (root / "x").symlink_to(outside / "f")
    try:
        opened = CALLS[call](posix, path)
    except (OSError, DamageError, StorageError):
        opened = None
    if call in ("open", "appender") and opened is not None:
        opened.close()
    assert calls.open_fds == set()
