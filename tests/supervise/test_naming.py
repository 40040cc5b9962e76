"""What a placing is called, by batch systems that number their tasks each in their way, and count or do not."""

import pytest

from outlast.format.jobs import JobLog, JobName
from outlast.supervise.batch.flux import Flux
from outlast.supervise.batch.htcondor import HTCondor
from outlast.supervise.batch.local import Local
from outlast.supervise.batch.lsf import Lsf
from outlast.supervise.batch.pbs import Pbs
from outlast.supervise.batch.sge import Sge
from outlast.supervise.batch.slurm import Slurm
from outlast.supervise.job import _name
from outlast.supervise.placing import Placing
from outlast.testing import FakeClock
from supervise.batch.records import FOLDER

SGE = {"JOB_ID": "12", "SGE_TASK_ID": "7", "RESTARTED": "1"}


def named(system, env, *before):
    placing = Placing(system, system.find(env), FakeClock(), lambda *_, **__: None)
    logs = [JobLog(name=JobName.parse(text), events=(), damaged=0) for text in before]
    return _name(placing, logs).format()


@pytest.mark.parametrize(
    ("system", "env", "wanted"),
    [
        (Slurm(), {"SLURM_JOB_ID": "15", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "7"}, "slurm-12_7.r0"),
        (Sge(), {"JOB_ID": "12", "SGE_TASK_ID": "7"}, "sge-12_7.r0"),
        (Sge(), {"JOB_ID": "12", "SGE_TASK_ID": "undefined"}, "sge-12.r0"),
        (Pbs(), {"PBS_JOBID": "12[7].pbs01", "PBS_ARRAY_INDEX": "7"}, "pbs-12.pbs01_7.r0"),
        (Pbs(), {"PBS_JOBID": "12.pbs01"}, "pbs-12.pbs01.r0"),
        (Lsf(), {"LSB_JOBID": "12", "LSB_JOBINDEX": "7"}, "lsf-12_7.r0"),
        (Flux(), {"FLUX_JOB_ID": "ƒ8BKzGyZH"}, "flux-f8BKzGyZH.r0"),
        (HTCondor(), {"_CONDOR_JOB_AD": str(FOLDER / "htcondor" / "job.ad.txt")}, "htcondor-27013.0.r2"),
    ],
)
def test_a_placing_has_the_number_of_its_job(system, env, wanted):
    assert named(system, env) == wanted


def test_what_is_not_counted_follows_what_was_recorded():
    assert named(Sge(), SGE) == "sge-12_7.r1"
    assert named(Sge(), SGE, "sge-12_7.r0", "sge-12_7.r1", "sge-12_8.r5", "sge-13_7.r6") == "sge-12_7.r2"
    assert named(Pbs(), {"PBS_JOBID": "12.pbs01"}, "pbs-12.pbs01.r0") == "pbs-12.pbs01.r1"


def test_what_is_counted_is_what_the_system_says():
    env = {"SLURM_JOB_ID": "12", "SLURM_RESTART_COUNT": "3"}
    assert named(Slurm(), env, "slurm-12.r0", "slurm-12.r3") == "slurm-12.r3"
    assert named(Sge(), {**SGE, "RESTARTED": "0"}, "sge-12_7.r0") == "sge-12_7.r0"


def test_without_a_batch_system_it_is_named_after_the_machine():
    assert named(Local(), {"OUTLAST_LOCAL_JOB": "4711"}).startswith("local-")
