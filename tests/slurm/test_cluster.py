"""The cluster of the tests itself: it does what Slurm does to jobs elsewhere, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from slurm.cluster import USER, until

# Writes a line every 0.1 s: which start of the job it is, and on which node; and one for each signal.
CLOCK = """\
#!/bin/bash
count=${SLURM_RESTART_COUNT:-0}
trap 'echo "$count USR1" >> signals' USR1
trap 'echo "$count TERM" >> signals' TERM
until [ -e stop ]; do echo "$count $(hostname)" >> lines; sleep 0.1; done
"""
ALL_NODES = ("--partition=main", "--nodes=4", "--exclusive")
WAIT = "#!/bin/sh\nuntil [ -e over ]; do sleep 0.1; done\n"


def words(folder, name):
    """The lines of a file, each as its words."""
    path = folder / name
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def written(folder, count):
    """How often a start of the job has written, and where."""
    return [node for start, node in words(folder, "lines") if start == count]


def start_clock(cluster, folder, *options):
    job = cluster.submit(CLOCK, *options, folder=folder)
    until(lambda: written(folder, "0"))
    return job


def make(cluster, folder, name):
    return cluster.make_folder(f"{folder.name}/{name}")


def finish(cluster, folder, job):
    (folder / "stop").touch()
    assert cluster.wait_for_end(job)["JobState"] == "COMPLETED"


def test_a_job_runs_as_an_ordinary_user_with_this_python_and_these_sources(cluster, folder):
    code = "import sys, outlast; print(outlast.__file__, sys.prefix)"
    job = cluster.submit(f"#!/bin/sh\nid -un\nhostname\npython -c '{code}'\n", "--output=said", folder=folder)
    ended = cluster.wait_for_end(job)
    user, node, source, prefix = (folder / "said").read_text().split()
    assert (ended["JobState"], ended["ExitCode"], ended["BatchHost"]) == ("COMPLETED", "0:0", node)
    assert user == USER
    assert (folder / "said").stat().st_uid == cluster.user[0] != os.getuid()
    assert Path(source).is_relative_to(Path(__file__).parents[2] / "src")
    assert prefix == os.path.realpath(sys.prefix)


def test_nodes_share_the_folder_and_nothing_else(cluster, folder):
    for node in ("n1", "n2"):
        look = f"#!/bin/sh\nhostname; cat /proc/sys/kernel/random/boot_id\ncd /tmp; touch mark-{node}; ls . /dev/shm\n"
        job = cluster.submit(look, f"--nodelist={node}", f"--output={node}", folder=folder)
        cluster.wait_for(job, "COMPLETED")
    one, two = ((folder / node).read_text() for node in ("n1", "n2"))
    assert one.split()[0] == "n1"
    assert two.split()[0] == "n2"
    assert one.split()[1] != two.split()[1]
    assert "mark-n1" in one
    assert "mark-n1" not in two


def test_a_requeued_job_starts_again_under_its_id(cluster, folder):
    job = start_clock(cluster, folder)
    cluster.requeue(job)
    cluster.wait_for_restart(job)
    until(lambda: written(folder, "1"))
    finish(cluster, folder, job)


def test_a_job_with_no_requeue_cannot_be(cluster, folder):
    job = start_clock(cluster, folder, "--no-requeue")
    with pytest.raises(AssertionError, match="disabled"):
        cluster.requeue(job)
    finish(cluster, folder, job)


def test_preemption_tells_jobs_with_grace_ends_those_without_and_requeues_or_cancels_them(cluster, folder):
    folders = {name: make(cluster, folder, name) for name in ("main_risk", "main_abrupt", "main_cancel")}
    jobs = {
        name: start_clock(cluster, place, f"--partition={name}", "--signal=B:USR1@30")
        for name, place in folders.items()
    }
    other = cluster.submit(WAIT, *ALL_NODES, folder=folder)
    until(lambda: ["0", "USR1"] in words(folders["main_risk"], "signals"))
    told = cluster.job(jobs["main_risk"])
    assert (told["JobState"], told["Restarts"]) == ("RUNNING", "0")
    assert told["PreemptTime"] != "None"
    assert ["0", "TERM"] not in words(folders["main_risk"], "signals")

    assert cluster.wait_for_end(jobs["main_cancel"])["JobState"] == "PREEMPTED"
    cluster.wait_for(other, "RUNNING")
    assert ["0", "TERM"] in words(folders["main_risk"], "signals")
    assert not written(folders["main_abrupt"], "1")
    assert not written(folders["main_risk"], "1")
    (folder / "over").touch()

    for name in ("main_risk", "main_abrupt"):
        assert cluster.wait_for_restart(jobs[name])["Restarts"] == "1"
        until(lambda: written(folders[name], "1"))  # noqa: B023
        finish(cluster, folders[name], jobs[name])
    assert not cluster.queue()


def test_signals_reach_the_batch_script(cluster, folder):
    job = start_clock(cluster, folder)
    cluster.signal(job, "USR1")
    until(lambda: ["0", "USR1"] in words(folder, "signals"))
    finish(cluster, folder, job)


def test_a_job_of_a_node_that_is_set_down_starts_on_another(cluster, folder):
    job = start_clock(cluster, folder, "--partition=main")
    first = cluster.job(job)["BatchHost"]
    cluster.set_down(first)
    assert cluster.wait_for_restart(job)["BatchHost"] != first
    assert cluster.states()[first].startswith("down")
    cluster.drain("n4")
    assert cluster.states()["n4"] in ("drain", "drng")
    until(lambda: written(folder, "1"))
    cluster.resume(first)
    cluster.resume("n4")
    assert not cluster.states()["n4"].startswith("dr")
    finish(cluster, folder, job)


def test_a_node_without_power_does_nothing_more_and_one_without_network_goes_on_beside_its_successor(cluster, folder):
    dark, alone = make(cluster, folder, "dark"), make(cluster, folder, "alone")
    jobs = [start_clock(cluster, dark, "--exclude=n2"), start_clock(cluster, alone, "--exclude=n1")]
    assert [cluster.job(job)["BatchHost"] for job in jobs] == ["n1", "n2"]
    boot = (cluster.folder / "run" / "boot-n1").read_text()
    cluster.cut("n2")
    cluster.power_off("n1")
    count = len(written(dark, "0"))

    for job in jobs:
        assert cluster.wait_for_restart(job)["BatchHost"] in ("n3", "n4")
    until(lambda: written(dark, "1") and written(alone, "1"))
    assert len(written(dark, "0")) == count
    more = len(written(alone, "0"))
    until(lambda: len(written(alone, "0")) > more)
    assert set(written(alone, "0")) == {"n2"}

    cluster.heal("n2")
    cluster.boot("n1")
    assert (cluster.folder / "run" / "boot-n1").read_text() != boot
    finish(cluster, dark, jobs[0])
    finish(cluster, alone, jobs[1])


PROGRAM = """
import sys
from pathlib import Path
from slurm.cluster import Cluster, until
from slurm.settings import Settings
with Cluster(Path(sys.argv[1]), Settings(nodes=1)) as cluster:
    cluster.submit("#!/bin/sh\\ntouch up; exec sleep 1000\\n")
    until((cluster.home / "up").exists)
    print("running", flush=True)
    sys.stdin.read()
    raise SystemExit(7)
"""


def names_below(pid):
    names = set()
    for process in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            names.add(process.name())
    return names


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, None])
def test_nothing_stays_behind_a_second_cluster_however_its_tests_end(cluster, tmp_path, number):
    holder = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,
    )
    with holder:
        assert holder.stdout.readline() == b"running\n"
        until(lambda: {"slurmctld", "munged", "slurmd", "sleep"} <= names_below(holder.pid))
        processes = psutil.Process(holder.pid).children(recursive=True)
        if number is None:
            holder.stdin.close()
        else:
            os.killpg(holder.pid, number)
        holder.wait(60)
    assert holder.returncode == {signal.SIGKILL: -9, signal.SIGINT: -2, None: 7}[number]
    gone, alive = psutil.wait_procs(processes, timeout=60)
    assert not alive
    assert len(gone) == len(processes)
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    assert set(cluster.states().values()) == {"idle"}
