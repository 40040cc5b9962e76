"""What the commands of the file systems say of quotas, as their manuals show it; commands that say nothing useful."""

import os
import subprocess
import sys

import pytest

from outlast.backends import Quota
from outlast.backends.mounts import Mount
from outlast.supervise import quota
from outlast.supervise.quota import _NoAnswerError, parse_beegfs, parse_gpfs, parse_project, parse_table

KIB, GIB = 1024, 1 << 30

QUOTA = """\
Disk quotas for user alice (uid 1001):
     Filesystem  blocks   quota   limit   grace   files   quota   limit   grace
      /dev/sda2  124088* 100000  200000 1764000000     312       0       0       0
server:/export/home  2048   0   4096   0   7   0   100   0
"""
QUOTA_WRAPPED = """\
Disk quotas for user alice (uid 1001):
     Filesystem  blocks   quota   limit   grace   files   quota   limit   grace
server.example.org:/export/home/of/everybody
                   2048       0    4096       0       7       0     100       0
"""
QUOTA_NONE = "Disk quotas for user root (uid 0): none\n"
LFS = """\
Disk quotas for usr bob (uid 6000):
     Filesystem  kbytes   quota   limit   grace   files   quota   limit   grace
    /mnt/lustre  5310720  5242880 10485760  6d23h59m50s  1205*   1000    1200       -
"""
LFS_PROJECT = """\
Disk quotas for prj 1000 (pid 1000):
     Filesystem  kbytes   quota   limit   grace   files   quota   limit   grace
/lustre/with/a/long/name
                 [8448]       0   10240       -       1       0    1024       -
"""
LFS_NO_LIMIT = """\
Disk quotas for grp staff (gid 50):
     Filesystem  kbytes   quota   limit   grace   files   quota   limit   grace
    /mnt/lustre    8448       0       0       -       1       0       0       -
"""
GPFS = """\
mmlsquota::HEADER:version:reserved:reserved:filesystemName:quotaType:id:name:blockUsage:blockQuota:blockLimit:blockInDoubt:blockGrace:filesUsage:filesQuota:filesLimit:filesInDoubt:filesGrace:remarks:fid:filesetname:
mmlsquota::0:1:::gpfs1:USR:1001:alice:1048576:2097152:4194304:0:none:50:100:200:0:none:::root:
mmlsquota::0:1:::gpfs1:GRP:50:staff:1024:0:0:0:none:5:0:0:0:none:::root:
mmlsquota::0:1:::gpfs1:FILESET:3:pro%3Aject:1024:0:2048:0:6 days:5:0:0:0:none::::
"""
BEEGFS = """\
Quota information for storage pool Default (ID: 1):

name,id,size,hard,files,hard
alice,1001,1048576,10485760,12,unlimited
Quota information for storage pool fast (ID: 2):

name,id,size,hard,files,hard
alice,1001,3.50 GiB,1024.00 GiB,40,1000
"""


def one(found):
    (quota,) = found
    return quota.whose, quota.used_bytes, quota.limit_bytes, quota.used_files, quota.limit_files


def test_quota():
    assert one(parse_table(QUOTA, "quota", "/", "/dev/sda2")) == ("user alice", 124088 * KIB, 200000 * KIB, 312, None)
    assert one(parse_table(QUOTA, "quota", "server:/export/home")) == ("user alice", 2048 * KIB, 4096 * KIB, 7, 100)
    assert parse_table(QUOTA, "quota", "/elsewhere") == []
    assert parse_table(QUOTA_NONE, "quota", "/") == []
    assert parse_table("", "quota", "/") == []


def test_quota_of_a_long_name():
    place = "server.example.org:/export/home/of/everybody"
    assert one(parse_table(QUOTA_WRAPPED, "quota", place)) == ("user alice", 2048 * KIB, 4096 * KIB, 7, 100)


def test_several_owners():
    said = QUOTA + QUOTA.replace("user alice (uid 1001)", "group staff (gid 50)")
    assert [q.whose for q in parse_table(said, "quota", "/dev/sda2")] == ["user alice", "group staff"]


def test_lustre():
    assert one(parse_table(LFS, "lfs quota", "/mnt/lustre")) == (
        "user bob", 5310720 * KIB, 10485760 * KIB, 1205, 1200,
    )  # fmt: skip
    place = "/lustre/with/a/long/name"
    assert one(parse_table(LFS_PROJECT, "lfs quota", place)) == ("project 1000", 8448 * KIB, 10240 * KIB, 1, 1024)
    assert parse_table(LFS_NO_LIMIT, "lfs quota", "/mnt/lustre") == []


@pytest.mark.parametrize(
    ("said", "number"),
    [("1000 P /dir\n", "1000"), ("1000 - /dir", "1000"), ("    0 - /dir\n", ""), ("", ""), ("x y z", "")],
)
def test_lustre_project(said, number):
    assert parse_project(said) == number


def test_gpfs():
    user, fileset = parse_gpfs(GPFS)
    assert one([user]) == ("user alice", 1048576 * KIB, 4194304 * KIB, 50, 200)
    assert one([fileset]) == ("fileset pro:ject", 1024 * KIB, 2048 * KIB, 5, None)


def test_beegfs():
    first, second = parse_beegfs(BEEGFS, "user")
    assert one([first]) == ("user alice", 1048576, 10485760, 12, None)
    assert one([second]) == ("user alice", 7 * GIB // 2, 1024 * GIB, 40, 1000)


@pytest.mark.parametrize(
    ("parse", "said"),
    [
        (lambda said: parse_table(said, "quota", "/"), "quota: Permission denied\n"),
        (lambda said: parse_table(said, "quota", "/"), QUOTA.replace("200000", "20O000")),
        (lambda said: parse_table(said, "quota", "/"), QUOTA.partition("\n")[2]),
        (lambda said: parse_table(said, "quota", "/"), QUOTA.replace("312  ", "-312 ")),
        (lambda said: parse_table(said, "lfs quota", "/"), "Some errors happened when getting quota info.\n"),
        (lambda said: parse_table(said, "lfs quota", "/"), "Disk quotas for usr bob (uid 1):\n/mnt/lustre 1 2 3\n"),
        (parse_gpfs, "mmlsquota: File system gpfs9 is not known to the GPFS cluster.\n"),
        (parse_gpfs, GPFS.replace("USR", "WHO")),
        (parse_gpfs, GPFS.replace("1048576", "1e6")),
        (parse_gpfs, GPFS.partition("\n")[2]),
        (lambda said: parse_beegfs(said, "user"), "Quota is not enabled\n"),
        (lambda said: parse_beegfs(said, "user"), ""),
        (lambda said: parse_beegfs(said, "user"), BEEGFS.replace("10485760", "ten")),
        (lambda said: parse_beegfs(said, "user"), BEEGFS.replace(",12,", ",12,13,")),
    ],
)
def test_what_is_not_understood_is_no_answer(parse, said):
    with pytest.raises(_NoAnswerError, match="understand"):
        parse(said)


def test_how_much_of_the_tighter_limit_is_used():
    told = {"whose": "user a", "told_by": "quota"}
    assert Quota(used_bytes=5, limit_bytes=10, used_files=9, limit_files=10, **told).used_share == 0.9
    assert Quota(used_bytes=5, limit_bytes=None, used_files=9, limit_files=None, **told).used_share == 0


# -- commands ------------------------------------------------------------------------------------------------


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Put commands of our own first in the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(name, script):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    def says(name, text, status=0):
        (folder / f"{name}.txt").write_text(text)
        put(name, f'echo "$@" >> {folder}/{name}.log\n/bin/cat {folder}/{name}.txt\nexit {status}')

    says.put, says.log = put, lambda name: (folder / f"{name}.log").read_text().splitlines()
    return says


def test_asking_quota(commands, tmp_path):
    commands("quota", QUOTA, status=1)  # so it ends where a limit is exceeded
    found = quota.look(Mount(point="/data", type="ext4", source="/dev/sda2"), str(tmp_path))
    assert [q.told_by for q in found.quotas] == ["quota", "quota"]
    assert found.said == ""
    assert commands.log("quota") == ["-u -w -p -v -f /data", "-g -w -p -v -f /data"]


def test_asking_lustre(commands, tmp_path):
    script = 'case "$*" in project*) echo "1000 P /x";; *-p*) /bin/cat P;; *) /bin/cat U;; esac'
    (tmp_path / "P").write_text(LFS_PROJECT.replace("/lustre/with/a/long/name", "/mnt/lustre"))
    (tmp_path / "U").write_text(LFS)
    commands.put("lfs", f"cd {tmp_path}\n{script}")
    found = quota.look(Mount(point="/mnt/lustre", type="lustre", source="10.0.0.1@o2ib:/fs"), str(tmp_path))
    assert [q.whose for q in found.quotas] == ["user bob", "user bob", "project 1000"]


def test_asking_gpfs(commands, tmp_path):
    commands("mmlsquota", GPFS)
    found = quota.look(Mount(point="/gpfs", type="gpfs", source="/dev/gpfs1"), str(tmp_path))
    assert len(found.quotas) == 2
    assert commands.log("mmlsquota") == ["-Y gpfs1"]


def test_asking_beegfs(commands, tmp_path):
    commands("beegfs-ctl", BEEGFS)
    found = quota.look(Mount(point="/beegfs", type="beegfs", source="beegfs_nodev"), str(tmp_path))
    assert [q.whose for q in found.quotas] == ["user alice"] * 2 + ["group alice"] * 2
    assert all("--csv --mount=/beegfs" in line for line in commands.log("beegfs-ctl"))


@pytest.mark.parametrize("kind", ["ext4", "lustre", "beegfs"])
def test_no_command(commands, tmp_path, kind):
    found = quota.look(Mount(point="/x", type=kind, source="x"), str(tmp_path))
    assert found.quotas == ()
    assert found.said.startswith("quota: unknown: there is no command ")


def test_the_mount_is_unknown(tmp_path):
    assert quota.look(None, str(tmp_path)).said == "quota: unknown, for the mount is"


def test_no_quota_is_set(commands, tmp_path):
    commands("quota", QUOTA_NONE)
    found = quota.look(Mount(point="/", type="ext4", source="/dev/sda2"), str(tmp_path))
    assert (found.quotas, found.said) == ((), "quota: none is set, as far as can be seen")


def test_a_command_that_hangs_is_left(commands, tmp_path, monkeypatch):
    class Begun(subprocess.Popen):
        def communicate(self, *args, **more):
            pids.append(int((tmp_path / "pid").read_text()))  # waits until somebody writes there
            return super().communicate(*args, **more)

    pids = []
    monkeypatch.setattr(subprocess, "Popen", Begun)
    os.mkfifo(tmp_path / "pid")
    commands.put("quota", f"echo $$ > {tmp_path}/pid\nexec {sys.executable} -c 'import time; time.sleep(60)'")
    with pytest.raises(_NoAnswerError, match=r"quota did not answer within 0\.2 s"):
        quota.run(["quota"], 0.2)
    assert not os.path.exists(f"/proc/{pids[0]}")


def test_a_command_that_is_no_program(commands, tmp_path):
    (tmp_path / "bin" / "quota").write_bytes(b"\x7fnothing")
    (tmp_path / "bin" / "quota").chmod(0o755)
    with pytest.raises(_NoAnswerError, match="quota cannot be started: Exec format error"):
        quota.run(["quota"])
