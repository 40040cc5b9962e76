import pytest

from outlast.supervise.batch import Order, Refused, Unreachable
from outlast.supervise.batch.client import Answer
from outlast.supervise.batch.pbs import Pbs
from outlast.testing import FakeClock
from outlast.testing.schedulers import Recorded, SchedulerContract
from supervise.batch.records import complained, said

STARTED = 1366615056.0  # Mon Apr 22 07:17:36 2013, in UTC
DAY_S = 24 * 3600
ENV = {"PBS_JOBID": "74164.pbs01", "PBS_QUEUE": "workq", "PBS_O_WORKDIR": "/scratch/alice/run"}
ANSWERS = {"qstat -f 74164.pbs01": said("pbs/qstat"), "qsub": said("pbs/qsub")}


def pbs(answers=ANSWERS, after_s=10 * 3600.0):
    return Pbs(Recorded(answers), FakeClock(epoch_s=STARTED + after_s))


class TestContract(SchedulerContract):
    env, answers = ENV, ANSWERS
    job, deadline, waiting, new = "74164.pbs01", STARTED + DAY_S, "74165.pbs01", "74166.pbs01"
    options = ("-l", "select=2:ncpus=16", "-q", "workq", "-v", "A='two words',B=$HOME")

    def make(self, ask):
        return Pbs(ask, FakeClock(epoch_s=STARTED + 3600))


def test_a_job_that_the_server_has_put_back():
    text = said("pbs/qstat").text.replace("job_state = R", "job_state = Q")
    assert pbs({"qstat": Answer(status=0, text=text)}).see(pbs().find(ENV)).requeued
    assert not pbs().see(pbs().find(ENV)).requeued


def test_a_value_may_go_on_in_the_next_line():
    sight = pbs().see(pbs().find(ENV))
    assert sight.output == "/scratch/alice/run/checkpoints/heat-equation/jobs/train.o74164"


def test_a_suspended_job_gets_its_time_later():
    sight = pbs(after_s=25 * 3600.0).see(pbs().find(ENV))
    used_s = 10 * 3600 + 45 * 60 + 13
    assert sight.deadline == STARTED + 25 * 3600 + DAY_S - used_s


def test_without_a_limit_there_is_no_deadline():
    text = said("pbs/qstat").text.replace("    Resource_List.walltime = 24:00:00\n", "")
    assert pbs({"qstat": Answer(status=0, text=text)}).see(pbs().find(ENV)).deadline is None


def test_ended_long_before_its_limit_it_was_ended_by_somebody():
    answers = {"qstat": said("pbs/qstat-ending")}
    assert pbs(answers).see(pbs().find(ENV)).cancelled
    assert not pbs(answers, after_s=DAY_S - 30).see(pbs().find(ENV)).cancelled


@pytest.mark.parametrize("answer", ["pbs/qstat-unknown", "pbs/qstat-finished", "pbs/qstat-unreachable"])
def test_a_job_of_which_it_says_nothing(answer):
    system = pbs({"qstat": complained(answer, 35)})
    for asked in (system.see, system.successor):
        with pytest.raises(Unreachable):
            asked(system.find(ENV))


def test_another_job_is_not_ours():
    with pytest.raises(Unreachable):
        pbs({"qstat": said("pbs/qstat")}).see(pbs().find({**ENV, "PBS_JOBID": "741.pbs01"}))


def test_no_job_behind():
    text = said("pbs/qstat").text.replace("beforeany", "beforeok")
    assert pbs({"qstat": Answer(status=0, text=text)}).successor(pbs().find(ENV)) is None


def test_a_user_may_not_put_it_back():
    with pytest.raises(Refused, match="managers"):
        pbs().requeue(pbs().find(ENV))


def test_a_task_of_an_array_has_no_chain():
    job = pbs().find({**ENV, "PBS_JOBID": "74164[3].pbs01", "PBS_ARRAY_INDEX": "3"})
    assert job.task == "3"
    with pytest.raises(Refused, match="array"):
        pbs().submit("/a/job.sh", after=job)


def test_a_queue_that_is_not_there():
    with pytest.raises(Refused, match="Unknown queue"):
        pbs({"qsub": complained("pbs/qsub-refused")}).submit("/a/job.sh")


def test_a_server_that_does_not_answer():
    with pytest.raises(Unreachable):
        pbs({"qsub": complained("pbs/qstat-unreachable")}).submit("/a/job.sh")


def test_its_script():
    told = {"command": ["true"], "options": ["-q", "workq"], "name": "a run", "store": "/s", "lead_s": 60.0}
    assert pbs().script(Order(**told, time_s=30 * 3600.0)).splitlines() == [
        "#!/bin/bash",
        "#PBS -q workq",
        "#PBS -S /bin/bash",
        "#PBS -V",
        "#PBS -N a_run",
        "#PBS -l walltime=30:00:00",
        "#PBS -r y",
        "#PBS -j oe",
        "#PBS -o /s/jobs/",
        "",
        'cd -- "${PBS_O_WORKDIR:-.}" || exit 1',
        "exec true",
    ]
    said_all = ["-S/bin/sh", "-V", "-Nn", "-l", "select=1,walltime=1:00", "-rn", "-joe", "-o/x"]
    assert pbs().script(Order(**{**told, "options": said_all}, time_s=60.0)).count("#PBS") == 7
