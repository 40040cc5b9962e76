import pytest

from outlast.errors import UsageError
from outlast.supervise.batch import Order, Refused, Unreachable
from outlast.supervise.batch.client import Answer
from outlast.supervise.batch.sge import Sge
from outlast.testing import FakeClock
from outlast.testing.schedulers import Recorded, SchedulerContract
from supervise.batch.records import complained, said

ENV = {"JOB_ID": "46", "SGE_TASK_ID": "undefined", "RESTARTED": "0", "QUEUE": "main.q", "SGE_O_WORKDIR": "/home/alice"}
ANSWERS = {
    "qstat -xml -r": said("sge/qstat"),
    "qconf -sconf": said("sge/qconf"),
    "qsub -terse": Answer(status=0, text="49\n"),
}


class TestContract(SchedulerContract):
    env, answers, leaving = ENV, ANSWERS, True
    job, deadline, waiting, new = "46", 1795961537.0, "47", "49"
    options = ("-l", "mem_free=4G", "-pe", "mpi", "4-8", "-v", "A=two words")

    def make(self, ask):
        return Sge(ask)


def sge(**answers):
    return Sge(Recorded({**ANSWERS, **{start.replace("_", " "): answer for start, answer in answers.items()}}))


def order(**changed):
    told = {"command": ["true"], "options": [], "name": "a run", "store": "/s", "lead_s": 60.0}
    return Order(**{**told, **changed})


def test_85_is_99_here_and_nothing_else_is():
    assert [Sge().status(status) for status in (0, 1, 85, 86)] == [0, 1, 99, 86]


def test_a_commands_own_99_starts_nothing_again_and_100_stops_no_queue():
    assert [Sge().status(status) for status in (99, 100)] == [1, 1]


def test_a_restarted_job_knows_it():
    first, later = sge().find(ENV), sge().find({**ENV, "RESTARTED": "1"})
    assert (first.restarts, first.counted) == (0, True)
    assert (later.restarts, later.counted) == (1, False)  # or more: it does not say


def test_a_job_that_was_started_again_is_killed_at_its_soft_limit():
    system = sge()
    again = system.find({**ENV, "RESTARTED": "1"})
    assert system.see(again).deadline == system.see(system.find(ENV)).deadline - 60


def test_behind_its_limit_it_is_not_put_back():
    answers = Recorded(ANSWERS)
    job = sge().find(ENV)
    assert Sge(answers, FakeClock(epoch_s=1795961537.0 - 1)).see(job).requeues is None
    assert Sge(answers, FakeClock(epoch_s=1795961537.0)).see(job).requeues is False


def test_a_task_of_an_array():
    job = sge().find({**ENV, "JOB_ID": "48", "SGE_TASK_ID": "2"})
    assert (job.id, job.task) == ("48.2", "2")
    assert sge().see(job).deadline == 1795961537.0
    with pytest.raises(Refused, match="whole array"):
        sge().submit("/a/job.sh", after=job)


def test_a_task_that_does_not_run_is_not_seen():
    with pytest.raises(Unreachable):
        sge().see(sge().find({**ENV, "JOB_ID": "48", "SGE_TASK_ID": "4"}))


def test_a_deleted_job_is_cancelled():
    system = Sge(Recorded({**ANSWERS, "qstat -xml -r": said("sge/qstat-deleted")}))
    assert system.see(system.find(ENV)).cancelled


def test_a_queue_that_gives_way_preempts():
    suspended = said("sge/qstat").text.replace("<state>r</state>", "<state>S</state>")
    system = Sge(Recorded({"qstat -xml -r": Answer(status=0, text=suspended)}))
    assert system.see(system.find(ENV)).preempted


def test_a_job_that_was_put_back():
    back = said("sge/qstat").text.replace("<state>r</state>", "<state>Rq</state>")
    assert Sge(Recorded({"qstat -xml -r": Answer(status=0, text=back)})).see(sge().find(ENV)).requeued
    assert not sge().see(sge().find(ENV)).requeued


def test_leaving_is_enough_to_be_started_again():
    system = sge()
    system.requeue(system.find(ENV))
    Sge(Recorded({})).requeue(system.find(ENV))  # where the command is not there


def test_a_site_that_forbids_it():
    system = Sge(Recorded({"qconf -sconf": said("sge/qconf-forbidden")}))
    with pytest.raises(Refused, match="FORBID_RESCHEDULE"):
        system.requeue(system.find(ENV))


@pytest.mark.parametrize(("answer", "error"), [("sge/qsub-refused", Refused), ("sge/qsub-unreachable", Unreachable)])
def test_a_job_that_is_not_taken(answer, error):
    with pytest.raises(error):
        Sge(Recorded({"qsub": complained(answer)})).submit("/a/job.sh")


def test_an_array_has_the_number_before_the_dot():
    assert Sge(Recorded({"qsub": Answer(status=0, text="22.1-3:1\n")})).submit("/a/job.sh") == "22"


def test_its_script_has_an_option_a_line():
    text = Sge().script(order(options=["-q", "all.q"], time_s=3600.0, notes=["made by outlast"]))
    assert text.splitlines() == [
        "#!/bin/bash",
        "# made by outlast",
        "#$ -q all.q",
        "#$ -S /bin/bash",
        "#$ -cwd",
        "#$ -V",
        "#$ -N a_run",
        "#$ -l h_rt=3600",
        "#$ -notify",
        "#$ -r y",
        "#$ -j y",
        '#$ -o ":/s/jobs/$JOB_ID.out"',
        "",
        "exec true",
    ]


def test_what_the_user_says_is_not_said_again():
    options = [
        "-S",
        "/bin/sh",
        "-wd",
        "/x",
        "-V",
        "-N",
        "n",
        "-l",
        "h_rt=60",
        "-notify",
        "-r",
        "n",
        "-j",
        "n",
        "-o",
        "/o",
    ]
    lines = Sge().script(order(options=options, time_s=3600.0)).splitlines()
    assert len([line for line in lines if line.startswith("#$")]) == 9


def test_no_soft_limit_is_asked_for():
    """A job that was started again is killed at it, and not started a third time: tests/sge."""
    assert "s_rt" not in Sge().script(order(time_s=3600.0))
    assert "s_rt" not in Sge().script(order(options=["-l", "h_rt=8:00:00"]))


def test_an_array_has_a_file_a_task():
    assert "$JOB_ID.$TASK_ID.out" in Sge().script(order(options=["-t", "1-20"]))


@pytest.mark.parametrize("word", ["it's", 'say "x"', "a#b"])
def test_what_its_directives_cannot_say_is_refused(word):
    with pytest.raises(UsageError, match="no directive"):
        Sge().script(order(options=["-v", f"A={word}"]))


def test_spaces_in_front_of_the_last_value_are_refused():
    """It takes what follows a quoted value for a part of it."""
    with pytest.raises(UsageError, match="only the last value"):
        Sge().script(order(options=["-v", "A=two words", "more"]))


@pytest.mark.parametrize(("name", "wanted"), [("1abc", "j1abc"), ("a b/c", "a_b_c"), ("", "j"), ("x" * 99, "x" * 63)])
def test_a_name_is_made_one_that_is_taken(name, wanted):
    assert f"#$ -N {wanted}\n" in Sge().script(order(name=name))


def test_a_comma_in_the_path_is_refused():
    with pytest.raises(UsageError, match="comma"):
        Sge().script(order(store="/a,b"))
    assert "jobs" not in Sge().script(order(store="/a,b", options=["-o", "/x"]))
