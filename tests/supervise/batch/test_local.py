import os
import signal
import subprocess
import sys
import time

import pytest

from outlast.errors import UsageError
from outlast.supervise.batch import Order, Refused
from outlast.supervise.batch.local import VARIABLE, Local
from outlast.testing.schedulers import SchedulerContract

BOUND_S = 120.0


class TestContract(SchedulerContract):
    env, answers, asks = {VARIABLE: "4711"}, {}, False
    job, deadline, waiting, new = "4711", None, None, ""

    def make(self, ask):
        return Local(ask)

    def start(self, script):
        subprocess.run(
            ["/bin/bash", str(script)], cwd=script.parent, check=True, timeout=60, env={**os.environ, VARIABLE: "1"}
        )

    def test_a_job_is_submitted(self):
        """Below, for real."""

    def test_what_is_not_taken_has_no_number(self):
        """There is nothing that could answer: below, for real."""


def made(folder, code, store="a store"):
    """Write the script of a job that runs Python."""
    order = Order(
        command=[sys.executable, "-I", "-S", "-c", code],
        options=[],
        name="a run",
        store=str(folder / store),
        lead_s=60.0,
    )
    script = folder / "job.sh"
    script.write_text(Local().script(order))
    return script


def awaited(path):
    until = time.monotonic() + BOUND_S
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.01)
    return path.read_text()


TELL = """
import json, os, signal
told = {"pid": os.getpid(), "session": os.getsid(0), "cwd": os.getcwd(), "job": os.environ["OUTLAST_LOCAL_JOB"],
        "int": signal.getsignal(signal.SIGINT) == signal.default_int_handler, "input": os.read(0, 1).decode()}
print("said", flush=True)
with open("told.new", "w") as file:
    json.dump(told, file)
os.rename("told.new", "told")
signal.pause()
"""


@pytest.fixture
def ended():
    """Processes to end."""
    jobs = []
    yield jobs
    for job in jobs:
        os.kill(int(job), signal.SIGKILL)


def test_a_job_runs_in_the_background_in_a_session_of_its_own(tmp_path, monkeypatch, ended):
    import json

    monkeypatch.chdir(tmp_path)
    number = Local().submit(str(made(tmp_path, TELL)))
    ended.append(number)
    told = json.loads(awaited(tmp_path / "told"))
    assert (told["job"], told["pid"]) == (number, int(number))
    assert told["session"] not in (os.getsid(0), os.getpid())
    assert told["cwd"] == str(tmp_path)
    assert told["input"] == ""
    assert told["int"]  # Ctrl-C is not ignored in it, as it is in what a shell starts with &
    assert awaited(tmp_path / "a store" / "jobs" / f"{number}.out") == "said\n"


def test_it_outlives_whoever_submitted_it(tmp_path, ended):
    script = made(tmp_path, TELL)
    source = os.pathsep.join(sys.path)
    code = f"from outlast.supervise.batch.local import Local; print(Local().submit({str(script)!r}))"
    shell = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        check=True,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": source},
    )
    number = shell.stdout.strip()
    ended.append(number)
    awaited(tmp_path / "told")
    os.kill(int(number), 0)


def test_what_a_job_prints_before_it_has_a_file_is_not_taken_for_its_number(tmp_path, ended):
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/bash\necho 4711\necho noise >&2\nexec sleep 600\n")
    number = Local().submit(str(script))
    ended.append(number)
    assert number != "4711"
    os.kill(int(number), 0)


def test_a_script_that_is_not_there(tmp_path):
    with pytest.raises(Refused, match="no such file"):
        Local().submit(str(tmp_path / "no"))


def test_nothing_takes_options_or_limits():
    told = {"command": ["true"], "name": "x", "store": "/s", "lead_s": 60.0}
    for changed in ({"options": ["--mem=4G"]}, {"options": [], "time_s": 60.0}):
        with pytest.raises(UsageError, match="no batch system") as error:
            Local().script(Order(**told, **changed))
        assert error.value.hint
    with pytest.raises(Refused, match="options"):
        Local().submit("/a/job.sh", ["--mem=4G"])


def test_nothing_starts_it_again():
    with pytest.raises(Refused, match="same command"):
        Local().requeue(Local().find({VARIABLE: "4711"}))
