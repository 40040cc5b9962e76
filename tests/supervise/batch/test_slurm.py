import pytest

from outlast.supervise.batch import Refused, Unreachable
from outlast.supervise.batch.client import Answer
from outlast.supervise.batch.slurm import Slurm
from outlast.testing.schedulers import Recorded, SchedulerContract
from supervise.batch.records import complained, said

ENV = {"SLURM_JOB_ID": "1", "SLURM_JOB_PARTITION": "main", "SLURM_SUBMIT_DIR": "/home/alice/run"}
ANSWERS = {
    "scontrol --oneliner show job 1": said("slurm/scontrol-job"),
    "squeue": said("slurm/squeue"),
    "sbatch": Answer(status=0, text="7;cluster\n"),
    "scontrol requeue": Answer(status=0, text=""),
}


class TestContract(SchedulerContract):
    env, answers = ENV, ANSWERS
    job, deadline, waiting, new = "1", 1795961556.0, "2", "7"
    options = ("--partition=main_risk", "-n", "4", "--comment=it's for $HOME", "--mem", "4G")

    def make(self, ask):
        return Slurm(ask)


def slurm(**answers):
    return Slurm(Recorded({**ANSWERS, **answers}))


def test_a_task_of_an_array_is_not_its_array():
    env = {"SLURM_JOB_ID": "4", "SLURM_ARRAY_JOB_ID": "3", "SLURM_ARRAY_TASK_ID": "1", "SLURM_RESTART_COUNT": "2"}
    job = slurm().find(env)
    assert (job.id, job.task, job.restarts) == ("3_1", "1", 2)
    assert slurm().successor(job) is None


def test_the_job_behind_a_task_of_an_array():
    job = slurm().find({"SLURM_JOB_ID": "3", "SLURM_ARRAY_JOB_ID": "3", "SLURM_ARRAY_TASK_ID": "2"})
    assert slurm().successor(job) == "5"


def test_a_list_without_our_own_job_is_not_believed():
    system = slurm(squeue=Answer(status=0, text="8 8_N/A afterany:7(unfulfilled)\n"))
    with pytest.raises(Unreachable, match="not even our own"):
        system.successor(system.find(ENV))


def test_what_it_knows_of_a_job():
    sight = slurm().see(slurm().find(ENV))
    assert (sight.requeues, sight.submitted, sight.output) == (True, 1795957955.0, "/home/alice/run/1.out")


def test_a_cancelled_job_is_only_said_to_complete():
    system = slurm(**{"scontrol --oneliner show job 1": said("slurm/scontrol-cancelled")})
    assert system.see(system.find(ENV)).cancelled


@pytest.mark.parametrize(
    ("answer", "error"),
    [("slurm/scontrol-unknown", Refused), ("slurm/scontrol-unreachable", Unreachable)],
)
def test_a_requeue_that_fails(answer, error):
    system = slurm(**{"scontrol requeue": complained(answer)})
    with pytest.raises(error):
        system.requeue(system.find(ENV))


def test_a_partition_that_is_not_there():
    with pytest.raises(Refused, match="invalid partition"):
        slurm(sbatch=complained("slurm/sbatch-refused")).submit("/a/job.sh")
