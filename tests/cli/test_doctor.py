"""`outlast doctor`: on real storage, good and bad; beside a store's data, which stay as they are."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

import fusekit
import mounting
from cli.kit import snapshot
from outlast.backends import Posix, probe, rally
from outlast.cli.main import main
from outlast.format.envelope import seal
from outlast.store import Store
from storekit import Attempt, in_child

KEYS = {
    "store", "tried", "is_store", "fit", "kind", "reach", "mount", "probes", "promises", "quotas", "warnings", "notes",
    "other_node", "engines",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _no_job(monkeypatch):
    for name in ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "FLUX_JOB_ID", "_CONDOR_JOB_AD", "JOB_ID"):
        monkeypatch.delenv(name, raising=False)


def outcomes(document):
    return {one["name"]: one["outcome"] for one in document["probes"]}


def holds(document):
    return {one["key"]: one["holds"] for one in document["promises"]}


# -- where -------------------------------------------------------------------------------------------------------


def test_a_directory_that_a_run_would_be_given(call, tmp_path):
    found = call("doctor", tmp_path, "--json")
    assert found.status == 0
    assert found.json.keys() == KEYS
    assert (found.json["store"], found.json["tried"]) == (str(tmp_path), str(tmp_path))
    assert tuple(outcomes(found.json)) == probe.NAMES
    assert found.json["mount"]["point"]
    assert (found.json["fit"], found.json["is_store"]) == (True, False)
    assert found.json["other_node"] is None
    assert os.listdir(tmp_path) == []


def test_one_that_is_not_there_yet(call, tmp_path):
    found = call("doctor", tmp_path / "a" / "b", "--json")
    assert found.status == 0
    assert (found.json["store"], found.json["tried"]) == (str(tmp_path / "a" / "b"), str(tmp_path))
    assert os.listdir(tmp_path) == []
    assert f"(not there yet: tried in {tmp_path})" in call("doctor", tmp_path / "a" / "b").out


def test_a_store_stays_as_it_is(call, trained):
    before = snapshot(trained)
    assert call("doctor", trained).status == 0
    assert snapshot(trained) == before
    assert call("verify", trained).status == 0


def test_the_environments_store(call, trained, monkeypatch):
    monkeypatch.setenv("OUTLAST_STORE", str(trained))
    assert call("doctor", "--json").json["store"] == str(trained)


def test_a_live_run_is_not_disturbed(call, tmp_path):
    attempt = Attempt.begin(tmp_path / "store", lean=0)
    attempt.save(1)
    assert call("doctor", tmp_path / "store").status == 0
    attempt.save(2, keep=1)
    assert [name.step for name in Store(tmp_path / "store").checkpoints()] == [2]


def test_nothing_is_written_to_a_store_of_a_newer_format(call, trained):
    """S-11."""
    about = {"format": "outlast-store", "version": 2, "store": "0" * 32}
    (trained / "outlast.json").write_bytes(seal(about))
    stood = trained.stat().st_mtime_ns
    found = call("doctor", trained)
    assert found.status == 2
    assert "has store format 2, this outlast knows 1" in found.err
    assert trained.stat().st_mtime_ns == stood


def test_a_damaged_store_can_be_asked_about(call, trained):
    (trained / "outlast.json").write_text("damaged")
    found = call("doctor", trained, "--json")
    assert (found.status, found.json["is_store"]) == (0, True)


@pytest.mark.parametrize("name", ["file", "file/below", "dangling"])
def test_no_directory_is_status_2(call, tmp_path, name):
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "none")
    found = call("doctor", tmp_path / name)
    assert found.status == 2
    assert f"{tmp_path / name.split('/')[0]} is not a directory" in found.err


def test_none_named_is_status_2(call):
    found = call("doctor")
    assert found.status == 2
    assert "no store was named" in found.err


# -- what it says ------------------------------------------------------------------------------------------------


def test_text(call, tmp_path):
    said = call("doctor", tmp_path).out
    for name in probe.NAMES:
        assert re.search(rf"^  \w+ +{name} ", said, re.MULTILINE), name
    for asks in ("survives a kill", "loss of power", "loss of this node", "another node", "exclude", "others cannot"):
        assert asks in said
    assert re.search(r"^fit", said.splitlines()[-1])


def test_memory_is_warned_of_and_fits(tmp_path, capfd):
    def work(report):
        mounting.enter()
        mounting.tmpfs(tmp_path / "small", "size=2g")
        assert main(["doctor", str(tmp_path / "small")]) == 0
        report(b"ok")

    assert in_child(work) == (0, b"ok")
    said = capfd.readouterr().out
    assert "memory of this node" in said
    assert "  no       it survives a crash or loss of power of this node: it is memory" in said
    assert "warning: " in said
    assert "does not outlive this node. Use a shared file system." in said
    assert said.endswith("fit, with the warnings above\n")


def test_in_a_job_a_disk_of_the_node_is_warned_of(call, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    document = call("doctor", tmp_path, "--json").json
    if document["reach"] == "node":
        assert "the next job may run on another node" in document["warnings"][0]
    else:
        assert document["reach"] in ("memory", "container", "shared", "unknown")


@pytest.mark.parametrize("options", ["size=40k", "nr_inodes=4"])
def test_a_full_disk_is_status_1(tmp_path, capfd, options):
    def work(report):
        mounting.enter()
        mounting.tmpfs(tmp_path / "small", options)
        assert main(["doctor", str(tmp_path / "small")]) == 1
        assert os.listdir(tmp_path / "small") == []
        report(b"ok")

    assert in_child(work) == (0, b"ok")
    assert "No space left on device" in capfd.readouterr().out


def test_a_read_only_mount_is_status_1(tmp_path, capfd):
    def work(report):
        mounting.enter()
        mounting.tmpfs(tmp_path / "small", "size=1m")
        mounting.remount(tmp_path / "small", "size=1m", read_only=True)
        assert main(["doctor", str(tmp_path / "small")]) == 1
        report(b"ok")

    assert in_child(work) == (0, b"ok")
    said = capfd.readouterr().out
    assert "Read-only file system" in said
    assert said.endswith("NOT FIT: write failed. Give the run another directory.\n")


@pytest.mark.parametrize(
    ("how", "lost"),
    [
        ({"fail": {"fsync": errno.EIO}}, {"power-loss", "kill"}),
        ({"fail": {"link": errno.EPERM}}, {"kill", "power-loss", "two-jobs"}),
        ({"late": True}, {"kill"}),
    ],
    ids=["fsync", "link", "rename"],
)
def test_storage_that_must_not_be_used_is_status_1(call, tmp_path, how, lost):
    with fusekit.mounted(tmp_path / "folder", tmp_path / "mount", **how) as mount:
        found = call("doctor", mount, "--json")
    assert found.status == 1
    assert found.json["fit"] is False
    assert {key for key, value in holds(found.json).items() if value == "no"} == lost


def test_a_sync_that_the_kernel_only_pretends_is_not_promised(call, tmp_path):
    """A FUSE server without fsync: the call returns 0, so a probe cannot tell; nothing is promised either."""
    how = {"fail": {"fsync": errno.ENOSYS, "fsyncdir": errno.ENOSYS}}
    with fusekit.mounted(tmp_path / "folder", tmp_path / "mount", **how) as mount:
        found = call("doctor", mount, "--json")
    assert found.status == 0
    assert holds(found.json)["power-loss"] == "unknown"


def test_quotas_are_told(call, tmp_path, monkeypatch):
    mount = call("doctor", tmp_path, "--json").json["mount"]
    script = f"""#!/bin/sh
echo 'Disk quotas for user alice (uid 1001):'
echo '     Filesystem  blocks   quota   limit   grace   files   quota   limit   grace'
echo '{mount["point"]}  990  0  999  0  5  0  0  0'
"""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "quota").write_text(script)
    (tmp_path / "bin" / "quota").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    found = call("doctor", tmp_path / "x")
    assert found.status == 0
    assert "\nquota: user alice: 990 KiB of 999 KiB, 5 files of no limit\n" in found.out
    assert "\nwarning: quota: user alice: 990 KiB of 999 KiB" in found.out
    assert call("doctor", tmp_path / "x", "--json").json["quotas"][0]["limit_bytes"] == 999 * 1024


# -- how it ends -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_nothing(tmp_path, number):
    code = (
        "import os, sys; from outlast.backends.syscalls import Syscalls as S; from outlast.cli.main import main\n"
        "link, sent = S.link, []\n"
        "def hit(self, *a, **k):\n"
        f"    if not sent: sent.append(1); os.kill(os.getpid(), {int(number)})\n"
        "    link(self, *a, **k)\n"
        "S.link = hit; sys.exit(main(['doctor', sys.argv[1]]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 128 + number, done.stderr
    assert os.listdir(tmp_path) == []


def test_handlers_are_put_back(call, tmp_path):
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP)]
    call("doctor", tmp_path)
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP)] == before


def test_what_a_kill_left_goes_with_the_next_sweep_but_not_at_once(tmp_path):
    """It must not stop a prune either: the directory is not empty."""
    attempt = Attempt.begin(tmp_path, lean=0)
    attempt.save(1)
    for name, age_s in (("old", 7200), ("young", 60)):
        inner = tmp_path / f".tmp-doctor-{name}" / "from"
        inner.mkdir(parents=True)
        (inner / "file").write_text("x")
        os.utime(inner.parent, times=(time.time() - age_s, time.time() - age_s))
    attempt.save(2, keep=1)
    assert sorted(name for name in os.listdir(tmp_path) if name.startswith(".tmp-")) == [".tmp-doctor-young"]
    assert [name.step for name in Store(tmp_path).checkpoints()] == [2]


# -- the other node ----------------------------------------------------------------------------------------------


def test_two_commands_over_two_mounts(call, tmp_path):
    """The printed command, run as it stands on the other mount; its node is this one, and that is said."""
    with (
        fusekit.mounted(tmp_path / "folder", tmp_path / "a", timeout_s=5) as mine,
        fusekit.mounted(tmp_path / "folder", tmp_path / "b", timeout_s=5) as theirs,
    ):
        command = [sys.executable, "-m", "outlast.cli.main", "doctor", str(mine), "--other-node", "--json"]
        caller = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        invitation = caller.stderr.readline()
        asked = re.fullmatch(
            r"outlast: on another node, within 10 min: outlast doctor (\S+) --answer (\w+)\n", invitation
        )
        assert asked, invitation
        answered = call("doctor", str(asked[1]).replace(str(mine), str(theirs)), "--answer", asked[2], "--json")
        out, err = caller.communicate(timeout=60)
    assert answered.status == 0, answered.err
    assert caller.returncode == 0, err
    import json

    document = json.loads(out)
    met = document["other_node"]
    assert met["mine"] + met["theirs"] == rally.NAMES
    assert met["theirs"] == answered.json["got"]
    assert met["is_same_node"] is True
    assert any("this very node" in warning for warning in document["warnings"])
    assert os.listdir(tmp_path / "folder") == []


def test_nobody_answers(call, tmp_path, monkeypatch):
    from outlast.cli import doctor

    monkeypatch.setattr(doctor, "_WAIT_S", 0.1)
    found = call("doctor", tmp_path, "--other-node", "--json")
    assert (found.status, found.json["error"]) == (1, "storage")
    assert "was the command started there" in found.err
    assert os.listdir(tmp_path) == []


def test_no_token(call, tmp_path):
    assert call("doctor", tmp_path, "--answer", "x").status == 2
    assert call("doctor", tmp_path, "--answer", "x", "--other-node").status == 2


def test_the_answers_text(call, tmp_path):
    place = Posix(tmp_path)
    tokens, invited = [], threading.Event()

    def invite(token):
        tokens.append(token)
        invited.set()

    caller = threading.Thread(target=lambda: rally.call(place, invite, wait_s=20.0))
    caller.start()
    assert invited.wait(20.0)
    found = call("doctor", tmp_path, "--answer", tokens[0])
    caller.join()
    assert found.status == 0
    assert found.out.startswith("answered; the other node says what was found (")


def test_what_a_run_is_refused_or_warned_of_is_said(tmp_path, capsys):
    """Else a place would be called fit on which the run does not even start."""
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    assert main(["doctor", str(open_to_all), "--json"]) == 0
    assert any("everybody may write" in text for text in json.loads(capsys.readouterr().out)["warnings"])
    if os.geteuid() == 0:
        everybodys = tmp_path / "everybodys"
        everybodys.mkdir()
        everybodys.chmod(0o1777)
        planted = everybodys / "net"
        planted.mkdir()
        os.chown(planted, 12345, 12345)
        assert main(["doctor", str(planted)]) == 2
        assert "belongs to user 12345" in capsys.readouterr().err


def test_engines_and_what_they_need_are_named(call, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("OUTLAST_CRIU", str(tmp_path / "criu"))
    engines = {one["name"]: one for one in json.loads(call("doctor", str(tmp_path), "--json").out)["engines"]}
    assert engines["criu"] | {"remedy": ""} == {
        "name": "criu",
        "version": "",
        "problem": "criu is not there",
        "remedy": "",
    }
    assert "OUTLAST_CRIU=" in engines["criu"]["remedy"]
    assert engines["dmtcp"]["problem"].startswith("dmtcp_launch, dmtcp_command, dmtcp_restart not found")
    assert "module" in engines["dmtcp"]["remedy"]
    assert "criu is not there; install CRIU" in call("doctor", str(tmp_path)).out
