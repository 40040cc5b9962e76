import pytest

from outlast.errors import UsageError
from outlast.supervise.batch import Order, Refused, Unreachable
from outlast.supervise.batch.client import Answer
from outlast.supervise.batch.flux import Flux
from outlast.testing import FakeClock
from outlast.testing.schedulers import Recorded, SchedulerContract
from supervise.batch.records import complained, said

NOW = 1_700_000_000.0
ENV = {"FLUX_JOB_ID": "ƒ8BKzGyZH"}
BATCH = {"FLUX_ENCLOSING_ID": "ƒ8BKzGyZH", "FLUX_JOB_ID": "ƒ3"}
ANSWERS = {
    "flux job timeleft": said("flux/timeleft"),
    "flux jobs": said("flux/jobs"),
    "flux batch": said("flux/batch"),
    "flux --parent jobs": said("flux/jobs"),
    "flux --parent batch": said("flux/batch"),
}


def flux(env=ENV, **answers):
    return Flux(Recorded({**ANSWERS, **answers}), FakeClock(epoch_s=NOW), env)


class TestContract(SchedulerContract):
    env, answers = BATCH, ANSWERS
    job, deadline, waiting, new = "f8BKzGyZH", NOW + 3541, "f8BM2vvBo", "f8BP7pWgR"
    options = ("--queue=batch", "-N2", '--setattr=user.note=it\'s "mine"')

    def make(self, ask):
        return Flux(ask, FakeClock(epoch_s=NOW), BATCH)


def test_a_batch_script_is_the_job_of_the_instance_around_it():
    assert flux().find(BATCH).id == flux().find(ENV).id == "f8BKzGyZH"


@pytest.mark.parametrize(("env", "start"), [(BATCH, ["flux", "--parent", "batch"]), (ENV, ["flux", "batch"])])
def test_it_speaks_to_the_instance_that_the_job_is_in(env, start):
    ask = Recorded(ANSWERS)
    Flux(ask, env=env).submit("/a/job.sh")
    assert ask.asked[0][: len(start)] == start


def test_ids_with_the_letter_of_their_own():
    system = flux(**{"flux jobs": said("flux/jobs-unicode")})
    assert system.successor(system.find(ENV)) == "f8BM2vvBo"


def test_a_job_that_nobody_waits_for():
    assert flux().successor(flux().find({"FLUX_JOB_ID": "f8BNXeYw3"})) is None


def test_a_list_without_our_own_job_is_not_believed():
    system = flux(**{"flux jobs": Answer(status=0, text="f8BNXeYw3|SCHED||\n")})
    with pytest.raises(Unreachable):
        system.successor(system.find(ENV))


@pytest.mark.parametrize("text", ["4294967295\n", "18446744073709551615\n", "inf\n"])
def test_no_limit_is_no_deadline(text):
    system = flux(**{"flux job timeleft": Answer(status=0, text=text)})
    assert system.see(system.find(ENV)).deadline is None


def test_a_cancelled_job():
    system = flux(**{"flux jobs": said("flux/jobs-cancelled")})
    assert system.see(system.find(ENV)).cancelled


def test_outside_of_all_jobs():
    system = flux(**{"flux job timeleft": complained("flux/timeleft-nowhere")})
    with pytest.raises(Unreachable, match="not part of"):
        system.see(system.find(ENV))


def test_it_starts_no_job_again():
    with pytest.raises(Refused, match="new job"):
        flux().requeue(flux().find(ENV))


@pytest.mark.parametrize(("answer", "error"), [("batch-refused", Refused), ("batch-unreachable", Unreachable)])
def test_a_job_that_is_not_taken(answer, error):
    with pytest.raises(error):
        flux(**{"flux batch": complained(f"flux/{answer}")}).submit("/a/job.sh")


def test_its_script():
    told = {"command": ["true"], "options": ["--queue=batch"], "name": "a run", "store": "/s", "lead_s": 90.0}
    assert flux().script(Order(**told, time_s=3600.0)).splitlines() == [
        "#!/bin/bash",
        "# flux: --queue=batch",
        "# flux: --nslots=1",
        "# flux: --job-name='a run'",
        "# flux: --time-limit=3600s",
        "# flux: --signal=USR1@90s",
        "# flux: --output='/s/jobs/{{id}}.out'",
        "",
        "exec true",
    ]
    with pytest.raises(UsageError, match="template"):
        flux().script(Order(**{**told, "store": "/{{a}}"}))
