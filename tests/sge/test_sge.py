"""A run on a real Grid Engine: notice, save, restart, done; and what a person deletes stays deleted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from outlast.backends import Posix
from outlast.store import job_logs
from outlast.supervise.batch import Order, Refused, Unreachable
from outlast.supervise.batch.sge import Sge
from outlast.testing.schedulers import NASTY
from sge import grid as kit

HERE = Path(__file__).parent
SOURCE = os.pathsep.join([str(HERE.parents[1] / "src"), str(HERE.parent), *sys.path])
STEPS = 200


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    if reason := kit.problem():
        pytest.skip(f"needs {reason}")
    made = kit.Grid(tmp_path_factory.mktemp("grid"))
    made.start()
    space = made.space()
    yield made
    made.stop()
    assert not kit.members(space)


@pytest.fixture
def sge(grid):
    return Sge(grid.ask)


class Submitted:
    """A job that runs the program, submitted as its users do."""

    def __init__(self, grid, folder, *options, pause_s, attempts):
        self.grid, self.out, self.store = grid, folder / "out", folder / "a store"
        program = [sys.executable, str(HERE / "program.py"), str(self.out), str(STEPS), str(pause_s), str(attempts)]
        words = ["submit", "--json", "--system", "sge", "--store", str(self.store), *options, "--", *program]
        answer = grid.ask([sys.executable, "-m", "outlast", *words], PYTHONPATH=SOURCE)
        assert answer.status == 0, answer
        self.number = json.loads(answer.text)["job"]

    def records(self, task=""):
        """The records of its placings: of each the name, and the last event of each kind."""
        store = self.store / task
        logs = job_logs(Posix(str(store))) if store.exists() else ()
        return [(log.name, {event["event"]: event for event in log.events}) for log in logs]

    def await_result(self, undisturbed, task=""):
        """Wait until it is done; no step was lost, and none was counted twice."""
        out = self.out / task
        self.grid.until((out / "result").exists, f"the result of job {self.number} {task}")
        assert json.loads((out / "result").read_text()) == undisturbed
        return list(map(int, (out / "steps").read_text().split()))

    def await_end(self, number=None):
        self.grid.until(lambda: is_gone(self.grid, number or self.number), f"the end of job {number or self.number}")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    command = [sys.executable, HERE / "program.py", folder, str(STEPS), "0", "0"]
    env = {**os.environ, "PYTHONPATH": SOURCE, "OUTLAST_STORE": str(folder / "store")}
    subprocess.run(command, check=True, timeout=kit.BOUND_S, env=env)
    return json.loads((folder / "result").read_text())


@pytest.fixture(scope="module")
def jobs(grid, tmp_path_factory):
    """Jobs that take their time, all at once; the tests wait for them one after the other."""
    return {
        name: Submitted(grid, tmp_path_factory.mktemp(name), *options, pause_s=pause_s, attempts=attempts)
        for name, options, pause_s, attempts in (
            ("array", ["-t", "1-2", "-l", "h_rt=30"], 0.5, 2),
            ("soft", ["-l", "h_rt=3600,s_rt=30"], 0.5, 1),
            ("late", ["-l", "h_rt=30"], 60.0, 1),
        )
    }


def is_gone(grid, number):
    answer = grid.ask(["qstat", "-xml"])
    assert answer.status == 0, answer
    return f"<JB_job_number>{number}<" not in answer.text


@pytest.mark.parametrize("task", ["1", "2"])
def test_each_task_of_an_array_saves_before_its_limit_and_is_started_again_until_done(jobs, undisturbed, task):
    job = jobs["array"]
    assert job.await_result(undisturbed, task) == list(range(STEPS))
    job.await_end()
    placings = job.records(task)
    assert [name.number for name, _ in placings] == [f"{job.number}_{task}"] * len(placings)
    assert [name.restarts for name, _ in placings] == list(range(len(placings)))
    *cut, (_, last) = placings
    assert len(cut) >= 2  # Grid Engine says of both later ones only that they are not the first
    for _, events in cut:
        assert (events["notice"]["cause"], events["end"]["status"]) == ("deadline", 85)
        assert events["decision"]["what"] == "requeue"
    assert last["end"]["status"] == 0
    assert last["placed"]["deadline"] > cut[0][1]["placed"]["deadline"]
    outputs = sorted(path.name for path in (job.store / "jobs").glob("*.out"))
    assert outputs == [f"{job.number}.1.out", f"{job.number}.2.out"]  # of all attempts


def test_a_soft_limit_of_the_users_own_is_heard(jobs, undisturbed):
    job = jobs["soft"]
    assert job.await_result(undisturbed) == list(range(STEPS))
    job.await_end()
    (_, first), (_, last) = job.records()
    assert (first["notice"]["reason"], first["end"]["status"]) == ("SIGUSR1", 85)
    assert last["end"]["status"] == 0
    assert last["placed"]["deadline"] < first["placed"]["deadline"]  # started again, it would be killed at that limit


def test_what_comes_too_late_for_its_limit_goes_on_in_another_job(jobs, undisturbed):
    """Behind the hard limit Grid Engine starts nothing again, whatever the status."""
    job = jobs["late"]
    assert job.await_result(undisturbed) == list(range(STEPS))
    (first, cut), (second, last) = job.records()
    assert first.number == job.number
    assert cut["decision"]["what"] == "successor"
    assert second.number == cut["decision"]["successor"] != job.number
    assert last["end"]["status"] == 0
    job.await_end(second.number)


def test_what_a_person_deletes_saves_and_is_not_started_again(grid, sge, tmp_path):
    job = Submitted(grid, tmp_path, pause_s=1.0, attempts=1)
    grid.until((job.out / "steps").exists, "the first step")
    grid.ask(["qdel", job.number])
    job.await_end()
    ((_, events),) = job.records()
    assert (events["notice"]["reason"], events["end"]["status"]) == ("SIGUSR2", 85)
    assert events["decision"]["what"] == "none"
    assert "cancelled" in events["decision"]["reason"]
    assert not (job.out / "result").exists()
    with pytest.raises(Unreachable, match="knows nothing"):
        sge.see(sge.find({"JOB_ID": job.number, "SGE_TASK_ID": "undefined"}))


def test_a_job_that_waits_for_ours_is_found(grid, sge, tmp_path):
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/sh\n")
    number = sge.submit(str(script), ["-h"])
    job = sge.find({"JOB_ID": number, "SGE_TASK_ID": "undefined"})
    assert sge.successor(job) is None
    behind = sge.submit(str(script), after=job)
    assert sge.successor(job) == behind
    grid.ask(["qdel", number, behind])


def test_arguments_come_through_its_script_untouched(grid, sge, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a: store" / "jobs").mkdir(parents=True)
    code = "import json, sys; print(json.dumps(sys.argv[1:]))"
    order = Order(
        command=[sys.executable, "-I", "-S", "-c", code, *NASTY],
        options=["-v", "A=two words"],
        name="1 name / with $(signs)",
        store=str(tmp_path / "a: store"),
        lead_s=60.0,
    )
    script = tmp_path / "job.sh"
    script.write_text(sge.script(order))
    number = sge.submit(str(script))
    grid.until(lambda: is_gone(grid, number), "the end of the job")
    assert json.loads((tmp_path / "a: store" / "jobs" / f"{number}.out").read_text()) == list(NASTY)


def test_what_it_refuses_is_refused(sge, tmp_path):
    (tmp_path / "job.sh").write_text("#!/bin/sh\n")
    with pytest.raises(Refused, match="unknown resource"):
        sge.submit(str(tmp_path / "job.sh"), ["-l", "no_such_thing=1"])


LEFT_ALONE = """
import os, signal, sys
from pathlib import Path
from sge import grid as kit
made = kit.Grid(Path(sys.argv[1]))
made.start()
print(made.space(), made.ask(["qsub", "-terse", "-o", sys.argv[1], "-j", "y", "-b", "y", "sleep", "600"]).text, end="")
sys.stdout.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_nothing_is_left_of_it_when_its_tests_are_killed(grid, tmp_path):
    command = [sys.executable, "-c", LEFT_ALONE, str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": SOURCE}
    tests = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=env, check=False)
    space, number = tests.stdout.split()
    assert number == "1"  # it knows nothing of the other one's jobs
    grid.until(lambda: not kit.members(space), "the end of its last process")
    assert not os.path.ismount("/var/lib/gridengine/default")
    assert Path("/etc/hosts").read_text() != (tmp_path / "hosts").read_text()
