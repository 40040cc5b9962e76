import pytest

from outlast.supervise.batch import Order, Refused, Unreachable
from outlast.supervise.batch.client import Answer
from outlast.supervise.batch.lsf import Lsf
from outlast.testing import FakeClock
from outlast.testing.schedulers import Recorded, SchedulerContract
from supervise.batch.records import complained, said

NOW = 1_700_000_000.0
ENV = {"LSB_JOBID": "1234", "LSB_JOBINDEX": "0", "LSB_QUEUE": "normal", "LS_SUBCWD": "/home/alice/run"}
ANSWERS = {"bjobs": said("lsf/bjobs"), "sh -c": said("lsf/bsub"), "brequeue 1234": said("lsf/brequeue")}


def lsf(answers=ANSWERS, env=None):
    return Lsf(Recorded(answers), FakeClock(epoch_s=NOW), env or {})


class TestContract(SchedulerContract):
    env, answers = ENV, ANSWERS
    job, deadline, waiting, new = "1234", NOW + 11 * 3600 + 58 * 60, "1235", "1236"
    options = ("-q", "normal", "-R", "select[type=='any'] rusage[mem=4G]", "-n", "4")

    def make(self, ask):
        return Lsf(ask, FakeClock(epoch_s=NOW), {})


def task(number):
    return lsf().find({**ENV, "LSB_JOBID": "1240", "LSB_JOBINDEX": str(number)})


def test_a_task_of_an_array():
    job = task(2)
    assert (job.id, job.task) == ("1240[2]", "2")
    assert lsf().see(job).deadline == NOW + 2 * 3600 + 30 * 60  # X: beyond its estimate, so long to its limit
    assert lsf().successor(job) == "1250"
    assert lsf().successor(task(1)) is None


@pytest.mark.parametrize("number", [1, 3])  # an estimate ends nothing; a dash is no limit
def test_no_deadline(number):
    assert lsf().see(task(number)).deadline is None


def test_a_job_that_was_put_back():
    assert lsf().see(lsf().find({**ENV, "LSB_JOBID": "1235"})).requeued
    assert not lsf().see(lsf().find(ENV)).requeued


def test_only_who_waits_for_our_end_is_a_successor():
    rows = "1234|0|RUN|1:00 L|-\n1250|0|PEND|-|ended(12345) || done(1234)\n"
    assert lsf({"bjobs": Answer(status=0, text=rows)}).successor(lsf().find(ENV)) is None


def test_a_list_without_our_own_job_is_not_believed():
    with pytest.raises(Unreachable):
        lsf({"bjobs": Answer(status=0, text="1250|0|PEND|-|ended(77)\n")}).successor(lsf().find(ENV))


def test_a_number_that_begins_like_ours_is_another_job():
    assert lsf().successor(lsf().find({**ENV, "LSB_JOBID": "1235"})) is None


@pytest.mark.parametrize("answer", ["lsf/bjobs-unknown", "lsf/bjobs-unreachable"])
def test_a_job_of_which_it_says_nothing(answer):
    with pytest.raises(Unreachable):
        lsf({"bjobs": complained(answer, 255)}).see(lsf().find(ENV))


def test_a_restarted_job_knows_it():
    job = lsf().find({**ENV, "LSB_RESTART": "Y"})
    assert (job.restarts, job.counted) == (1, False)


@pytest.mark.parametrize("values", ["85", "1 85 99", "all", "all ~0 EXCLUDE(9)"])
def test_leaving_is_enough_where_85_is_among_the_values(values):
    lsf({}, {"LSB_EXIT_REQUEUE": values}).requeue(lsf().find(ENV))  # and nothing is asked


@pytest.mark.parametrize("values", ["", "99", "185", "EXCLUDE(85)", "all ~85"])
def test_else_it_is_asked_for(values):
    ask = Recorded(ANSWERS)
    Lsf(ask, env={"LSB_EXIT_REQUEUE": values}).requeue(lsf().find(ENV))
    assert ask.asked == [["brequeue", "1234"]]


def test_a_requeue_that_is_refused():
    with pytest.raises(Refused, match="permission"):
        lsf({"brequeue": complained("lsf/brequeue-refused", 255)}).requeue(lsf().find(ENV))


def test_a_requeue_of_which_nobody_knows():
    with pytest.raises(Unreachable):
        lsf({"brequeue": Answer(status=0, text="")}).requeue(lsf().find(ENV))


def test_the_default_queue_is_a_queue():
    assert lsf({"sh": said("lsf/bsub-default")}).submit("/a/job.sh") == "1236"


@pytest.mark.parametrize(("answer", "error"), [("lsf/bsub-refused", Refused), ("lsf/bjobs-unreachable", Unreachable)])
def test_a_job_that_is_not_taken(answer, error):
    with pytest.raises(error):
        lsf({"sh": complained(answer, 255)}).submit("/a/job.sh")


def test_its_script():
    told = {"command": ["true"], "options": ["-q", "normal"], "name": "a run", "store": "/s", "lead_s": 61.0}
    assert lsf().script(Order(**told, time_s=5400.0)).splitlines() == [
        "#!/bin/bash",
        "#BSUB -q normal",
        "#BSUB -J a_run",
        "#BSUB -W 1:30",
        "#BSUB -wt 2",
        "#BSUB -wa USR1",
        "#BSUB -Q 85",
        "#BSUB -r",
        "#BSUB -o /s/jobs/%J.out",
        "",
        "exec true",
    ]
    assert "-wt" not in lsf().script(Order(**told))
    assert "%J.%I.out" in lsf().script(Order(**{**told, "options": ["-J", "a[1-20]"]}))
