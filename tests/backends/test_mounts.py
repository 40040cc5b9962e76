"""The mount table: which mount a path lies on, and whether what is there outlives the node."""

import os

import pytest

from outlast.backends import mounts
from outlast.backends.mounts import JOB_VARIABLES, Mount, find, in_batch_job, warning

TABLE = r"""
21 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw
22 21 0:20 / /dev rw,nosuid shared:2 - devtmpfs udev rw
23 22 0:21 / /dev/shm rw - tmpfs tmpfs rw,size=1024k
30 21 0:40 / /home rw,relatime shared:9 master:3 propagate_from:2 - nfs4 server:/home rw,vers=4.2
31 21 0:41 / /scratch rw,relatime - lustre 10.0.0.1@o2ib:/fs rw,flock
32 31 0:42 / /scratch/local rw - xfs /dev/sdb1 rw
33 21 0:43 / /scratch2 rw - beegfs beegfs_nodev rw
34 21 0:44 / /mnt/two\040words rw - tmpfs none rw
35 21 0:45 / /mnt/back\134slash\011tab rw - tmpfs none rw
36 21 0:46 / /mnt/grün rw - nfs s:/x rw
37 21 0:47 / /mnt/empty rw - tmpfs  rw,size=4k
38 21 0:48 / /auto rw - autofs systemd-1 rw
39 38 0:49 / /auto rw - nfs server:/auto rw
40 21 0:50 / /- rw - tmpfs - rw
41 21 0:51 / /box rw - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w
this is not a line of a mount table
42 21 0:52 / /cut rw shared:1
43 21 0:53 / /cut rw - tmpfs
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "mountinfo"
    path.write_bytes(TABLE.strip().encode() + b"\n")
    return str(path)


@pytest.fixture
def _literal(monkeypatch, tmp_path):  # after tmp_path, which needs the real one
    """Take paths as they stand: those of the table are not of this machine."""
    monkeypatch.setattr(os.path, "realpath", os.path.normpath)


@pytest.mark.parametrize(
    ("path", "point", "kind", "source"),
    [
        ("/", "/", "ext4", "/dev/nvme0n1p2"),
        ("/srv/x", "/", "ext4", "/dev/nvme0n1p2"),
        ("/dev/shm/store", "/dev/shm", "tmpfs", "tmpfs"),
        ("/home", "/home", "nfs4", "server:/home"),
        ("/home/me/ckpts", "/home", "nfs4", "server:/home"),
        ("/homely", "/", "ext4", "/dev/nvme0n1p2"),
        ("/scratch/me", "/scratch", "lustre", "10.0.0.1@o2ib:/fs"),
        ("/scratch/local/me", "/scratch/local", "xfs", "/dev/sdb1"),
        ("/scratch/locally", "/scratch", "lustre", "10.0.0.1@o2ib:/fs"),
        ("/scratch2/me", "/scratch2", "beegfs", "beegfs_nodev"),
        ("/mnt/two words/x", "/mnt/two words", "tmpfs", "none"),
        ("/mnt/back\\slash\ttab/x", "/mnt/back\\slash\ttab", "tmpfs", "none"),
        ("/mnt/gr\u00fcn/x", "/mnt/gr\u00fcn", "nfs", "s:/x"),
        ("/mnt/empty/x", "/mnt/empty", "tmpfs", ""),
        ("/auto/me", "/auto", "nfs", "server:/auto"),
        ("/-/me", "/-", "tmpfs", "-"),
        ("/box/x", "/box", "overlay", "overlay"),
        ("/cut/x", "/", "ext4", "/dev/nvme0n1p2"),
        ("/home/../dev/shm", "/dev/shm", "tmpfs", "tmpfs"),
    ],
)
@pytest.mark.usefixtures("_literal")
def test_find(table, path, point, kind, source):
    found = find(path, table)
    assert (found.point, found.type, found.source) == (point, kind, source)


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/", ("rw", "relatime")),
        ("/home/me", ("rw", "relatime", "vers=4.2")),
        ("/scratch/me", ("rw", "relatime", "flock")),
        ("/mnt/empty", ("rw", "size=4k")),
        ("/box", ("rw", "lowerdir=/l", "upperdir=/u", "workdir=/w")),
    ],
)
@pytest.mark.usefixtures("_literal")
def test_options_of_the_mount_and_of_its_file_system(table, path, options):
    assert find(path, table).options == options


def test_one_option():
    mount = Mount(point="/x", type="nfs", source="s:/x", options=("ro", "soft", "timeo=7", "acdirmax=3", "acdirmax=9"))
    assert mount.option("soft") == ""
    assert mount.option("timeo") == "7"
    assert mount.option("acdirmax") == "9"
    assert mount.option("hard") is None
    assert mount.option("time") is None


def test_links_are_followed_first(tmp_path, table):
    """What counts is where the bytes go."""
    real = tmp_path.resolve()
    (real / "memory").mkdir()
    (real / "link").symlink_to(real / "memory")
    with open(table, "a") as file:
        file.write(f"49 21 8:9 / {real} rw - xfs /dev/sdz1 rw\n50 49 0:60 / {real}/memory rw - tmpfs tmpfs rw\n")
    assert find(str(tmp_path / "link" / "store"), table).type == "tmpfs"
    assert find(str(tmp_path / "store"), table).type == "xfs"


@pytest.mark.usefixtures("_literal")
def test_a_name_that_is_not_unicode(tmp_path):
    table = tmp_path / "mountinfo"
    table.write_bytes(b"34 21 0:44 / /mnt/\xff rw - tmpfs none rw\n")
    assert find(os.fsdecode(b"/mnt/\xff/x"), str(table)).type == "tmpfs"


def test_the_real_table_knows_this_folder(tmp_path):
    mount = find(str(tmp_path / "not" / "there" / "yet"))
    assert mount is not None
    assert os.path.ismount(mount.point)
    assert os.stat(mount.point).st_dev == tmp_path.stat().st_dev


def test_no_table_is_no_answer(tmp_path):
    assert find(str(tmp_path), str(tmp_path / "none")) is None
    (tmp_path / "empty").touch()
    assert find(str(tmp_path), str(tmp_path / "empty")) is None


@pytest.mark.parametrize("in_job", [True, False])
@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("tmpfs", "tmpfs (memory)"),
        ("ramfs", "ramfs (memory)"),
        ("overlay", "overlay (a container's own layer)"),
        ("fuse.fuse-overlayfs", "fuse.fuse-overlayfs (a container's own layer)"),
    ],
)
def test_what_goes_with_the_node(kind, what, in_job):
    said = warning(Mount(point="/x", type=kind, source="none"), "/x/store", in_job=in_job)
    assert said == f"/x/store is on {what}: it does not outlive this node. Use a shared file system."


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs"])
def test_a_disk_of_the_node(kind):
    mount = Mount(point="/scratch", type=kind, source="/dev/sda1")
    start = f"/scratch/s is on {kind} at /scratch, a disk of this node: "
    assert warning(mount, "/scratch/s", in_job=False) == start + "it does not outlive the node's disk."
    assert warning(mount, "/scratch/s", in_job=True) == (
        start + "the next job may run on another node and would not find it. Use a shared file system."
    )


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "lustre", "beegfs", "gpfs", "ceph", "fuse.mfs", "9p", "virtiofs"])
@pytest.mark.parametrize("in_job", [True, False])
def test_shared_or_unknown_storage_is_not_spoken_of(kind, in_job):
    assert warning(Mount(point="/x", type=kind, source="s:/x"), "/x/store", in_job=in_job) == ""


def test_nothing_known_nothing_said():
    assert warning(None, "/x", in_job=True) == ""


@pytest.mark.parametrize("name", [*JOB_VARIABLES])
def test_a_job_is_known_by_its_variable(name, monkeypatch):
    for other in mounts.JOB_VARIABLES:
        monkeypatch.delenv(other, raising=False)
    assert not in_batch_job()
    monkeypatch.setenv(name, "7")
    assert in_batch_job()
