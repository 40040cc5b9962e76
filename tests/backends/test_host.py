"""Who a process is, and whether it still lives: pids are used again, machines start again, zombies do not write."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from outlast.backends import host
from outlast.backends.host import from_record, is_alive, me

VARIABLES = [name for row in host._JOBS for name in row[1:] if name]


WAIT = "import sys; print(flush=True); sys.stdin.read()"
RENAMED = "open('/proc/self/comm', 'w').write(') Z 1 (x y'); " + WAIT


def started(code=WAIT):
    """A process that has started and waits until it is killed."""
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


def end(process):
    process.kill()
    process.communicate()


@pytest.fixture
def child():
    process = started()
    yield process.pid
    end(process)


def identity_of(pid):
    return replace(me(), pid=pid, start=host.start_of(pid))


def test_i_am_alive():
    assert is_alive(me(), me()) is True
    assert me().pid == os.getpid()
    assert me().start.isdecimal()


def test_another_process(child):
    assert is_alive(identity_of(child), me()) is True


def test_one_that_is_gone():
    process = started()
    other = identity_of(process.pid)
    end(process)
    assert is_alive(other, me()) is False


def test_a_zombie_is_dead(child):
    """Killed and not yet reaped: it has a pid and a start time, but it will never write again."""
    other = identity_of(child)
    os.kill(child, signal.SIGKILL)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert os.path.exists(f"/proc/{child}/stat")
    assert is_alive(other, me()) is False


def test_a_stopped_process_lives(child):
    other = identity_of(child)
    os.kill(child, signal.SIGSTOP)
    os.waitpid(child, os.WUNTRACED)
    assert is_alive(other, me()) is True


def test_a_pid_used_again(child):
    """The same pid, another start time: somebody else."""
    other = identity_of(child)
    assert is_alive(replace(other, start=str(int(other.start) - 1)), me()) is False
    assert is_alive(replace(other, start=""), me()) is False


@pytest.mark.parametrize("pid", [0, -1, 2**22 + 1])
def test_a_pid_that_cannot_be(pid):
    assert is_alive(replace(me(), pid=pid), me()) is False


@pytest.mark.parametrize("field", ["host", "boot", "pid_space"])
def test_what_cannot_be_seen_from_here_is_not_judged(field):
    assert is_alive(replace(me(), **{field: "another"}), me()) is None


def test_without_a_boot_id_nothing_is_judged():
    mine = replace(me(), boot="")
    assert is_alive(mine, mine) is None


def test_a_name_that_tries_to_confuse(child):
    """The process's name stands in the same line, and may hold brackets and blanks."""
    process = started(RENAMED)
    try:
        with open(f"/proc/{process.pid}/comm") as file:
            assert file.read() == ") Z 1 (x y\n"
        assert is_alive(identity_of(process.pid), me()) is True
        assert int(host.start_of(process.pid)) >= int(host.start_of(child))
    finally:
        end(process)


# -- the record in the journal -----------------------------------------------------------------------------


def test_record_and_back():
    assert from_record(json.loads(json.dumps(me().record()))) == me()


def test_a_record_holds_nothing_else():
    assert me().record().keys() == {"host", "boot", "pid", "start", "pid_space", "job", "restart"}


@pytest.mark.parametrize("field", ["host", "boot", "pid", "start", "pid_space"])
def test_a_record_that_lacks_something_is_none(field):
    record = me().record()
    del record[field]
    assert from_record(record) is None


@pytest.mark.parametrize(("field", "value"), [("pid", "x"), ("pid", None), ("pid", 1e400), ("restart", "x")])
def test_a_record_of_another_kind_is_none(field, value):
    assert from_record({**me().record(), field: value}) is None


def test_older_records_have_no_job():
    record = me().record()
    del record["job"], record["restart"]
    found = from_record(record)
    assert (found.job, found.restart) == ("", 0)


# -- the job's number --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env", "job", "restart"),
    [
        ({}, "", 0),
        ({"SLURM_JOB_ID": "1001"}, "slurm:1001", 0),
        ({"SLURM_JOB_ID": "1001", "SLURM_RESTART_COUNT": "2"}, "slurm:1001", 2),
        ({"SLURM_JOB_ID": "1001", "SLURM_RESTART_COUNT": "many"}, "slurm:1001", 0),
        ({"SLURM_JOB_ID": "1001", "SLURM_RESTART_COUNT": "\u00b2"}, "slurm:1001", 0),
        ({"SLURM_JOB_ID": "1001", "SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_JOB_ID": "999"}, "slurm:999_3", 0),
        ({"SLURM_JOB_ID": "1001", "SLURM_ARRAY_TASK_ID": "0"}, "slurm:1001_0", 0),
        ({"PBS_JOBID": "12[3].server"}, "pbs:12[3].server", 0),
        ({"LSB_JOBID": "5", "LSB_JOBINDEX": "7"}, "lsf:5_7", 0),
        ({"FLUX_JOB_ID": "f2a"}, "flux:f2a", 0),
        ({"JOB_ID": "8", "SGE_TASK_ID": "undefined", "RESTARTED": "1"}, "sge:8", 1),
        ({"JOB_ID": "8", "SGE_TASK_ID": "4", "RESTARTED": "0"}, "sge:8_4", 0),
        ({"SLURM_JOB_ID": "", "PBS_JOBID": "12"}, "pbs:12", 0),
        ({"SLURM_ARRAY_TASK_ID": "3"}, "", 0),
    ],
)
def test_job(env, job, restart, monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert (me().job, me().restart) == (job, restart)
