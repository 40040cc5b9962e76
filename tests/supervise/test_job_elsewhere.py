"""`outlast run` in the jobs of other batch systems: who goes on, and with which status it leaves.

Their commands are played: they answer from files, and write down how they were called.
"""

import re
import signal
import sys
import time

import pytest

from outlast.format.jobs import JobName
from outlast.format.jobs import read as read_record
from supervise.batch.records import FOLDER

OBEDIENT = """
put("program.json", pid=os.getpid(), store=os.environ["OUTLAST_STORE"])
def leave():
    put("progress.json", store=os.environ["OUTLAST_STORE"], attempt=1, step=5, done=False, at="now")
    sys.exit(85)
on(signal.SIGTERM, leave)
say("deadline", os.environ.get("OUTLAST_DEADLINE", "none"))
forever()
"""
LIMIT_S = 24 * 3600


def answer(name):
    return (FOLDER / f"{name}.txt").read_text()


def pbs_job(**changed):
    """`qstat -f` of a job that began just now, without one behind it."""
    now = time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime())
    text = answer("pbs/qstat").replace("stime = Mon Apr 22 07:17:36 2013", f"stime = {now}").replace("beforeany", "x")
    for name, value in changed.items():
        text = text.replace(f"{name} = R", f"{name} = {value}")
    return text


def sge_jobs():
    """`qstat` of a job that began just now."""
    now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    return answer("sge/qstat").replace("2026-11-29T13:12:17", now)


def condor_job():
    """`condor_q` of a job that began just now."""
    return re.sub(r"(Start\w*Date) = \d+", rf"\1 = {int(time.time())}", answer("htcondor/condor_q"))


@pytest.fixture
def played(rig):
    """Play commands; returns the environment in which they are found, and what reads their calls."""
    folder = rig.folder / "commands"
    folder.mkdir()

    def play(**texts):
        for name, text in texts.items():
            (folder / f"{name}.text").write_text(text)
            say = f'echo "$0 $*" >>{folder}/calls; cat {folder}/{name}.text'
            (folder / name).write_text(f"#!/bin/sh\n{say}\n")
            (folder / name).chmod(0o700)
        return {"PATH": f"{folder}:/usr/bin:/bin"}

    def calls(name):
        lines = (folder / "calls").read_text().splitlines() if (folder / "calls").exists() else []
        return [line.split()[1:] for line in lines if line.split()[0].endswith(f"/{name}")]

    play.calls = calls
    return play


def told(rig, env):
    """Run it in such a job, give notice, and return the supervisor after its end."""
    verb = [sys.executable, "-m", "outlast", "run", "--store", "x", "--script", "job.sh"]
    one = rig.spawn([*verb, "--", *rig.program(OBEDIENT)], env=env)
    one.deadline = one.line().removeprefix("deadline ")
    one.send(signal.SIGUSR1)
    one.left_with = one.status()
    return one


def decision(rig, name):
    log = read_record(JobName.parse(name), (rig.folder / "x" / "jobs" / f"{name}.jsonl").read_bytes())
    return log.last("decision")


def test_pbs_goes_on_in_one_job_behind_this_one(rig, played):
    env = played(qstat=pbs_job(), qsub=answer("pbs/qsub"))
    one = told(rig, {**env, "PBS_JOBID": "74164.pbs01"})
    assert one.left_with == 0, one.errors
    assert abs(float(one.deadline) - time.time() - LIMIT_S) < 3600
    assert played.calls("qsub") == [["-W", "depend=afterany:74164.pbs01", "job.sh"]]
    assert decision(rig, "pbs-74164.pbs01.r0")["successor"] == "74166.pbs01"


def test_pbs_has_no_second_job_behind_this_one(rig, played):
    env = played(qstat=pbs_job().replace("\tx:", "\tbeforeany:"), qsub=answer("pbs/qsub"))
    one = told(rig, {**env, "PBS_JOBID": "74164.pbs01"})
    assert one.left_with == 0, one.errors
    assert played.calls("qsub") == []
    assert decision(rig, "pbs-74164.pbs01.r0")["successor"] == "74165.pbs01"


def test_what_a_person_deletes_from_pbs_has_no_job_behind_it(rig, played):
    one = told(rig, {**played(qstat=pbs_job(job_state="E"), qsub=answer("pbs/qsub")), "PBS_JOBID": "74164.pbs01"})
    assert "cancelled" in one.errors
    assert played.calls("qsub") == []


def test_lsf_starts_it_again_for_its_status(rig, played):
    env = {**played(bjobs=answer("lsf/bjobs"), brequeue=""), "LSB_JOBID": "1234", "LSB_EXIT_REQUEUE": "85"}
    assert told(rig, env).left_with == 85
    assert played.calls("brequeue") == []
    assert decision(rig, "lsf-1234.r0")["what"] == "requeue"


def test_lsf_is_asked_where_the_status_says_nothing_to_it(rig, played):
    env = {**played(bjobs=answer("lsf/bjobs"), brequeue=answer("lsf/brequeue")), "LSB_JOBID": "1234"}
    assert told(rig, env).left_with == 85
    assert played.calls("brequeue") == [["1234"]]


def test_flux_goes_on_in_one_job_behind_this_one(rig, played):
    flux = """case "$*" in
    *timeleft*) echo 3541 ;;
    *jobs*) printf 'f8BKzGyZH|RUN||\\n' ;;
    *batch*) echo f8BP7pWgR ;;
    esac"""
    env = {**played(flux=""), "FLUX_ENCLOSING_ID": "f8BKzGyZH"}
    command = rig.folder / "commands" / "flux"
    command.write_text(command.read_text().replace("cat ", f"{flux}\n: "))
    one = told(rig, env)
    assert one.left_with == 0, one.errors
    submitted = [call for call in played.calls("flux") if "batch" in call]
    assert submitted == [["--parent", "batch", "--dependency=afterany:f8BKzGyZH", "job.sh"]]


def test_htcondor_starts_it_again_for_its_status(rig, played):
    env = {**played(condor_q=condor_job()), "_CONDOR_JOB_AD": str(FOLDER / "htcondor" / "job.ad.txt")}
    assert told(rig, env).left_with == 85
    assert decision(rig, "htcondor-27013.0.r2")["what"] == "requeue"


def test_grid_engine_starts_it_again_for_a_status_of_its_own(rig, played):
    env = {**played(qstat=sge_jobs(), qconf=answer("sge/qconf")), "JOB_ID": "46", "SGE_TASK_ID": "undefined"}
    assert told(rig, env).left_with == 99


def test_where_grid_engine_forbids_that_another_job_goes_on(rig, played):
    listed = re.sub(r"<(predecessor\w+)>46</\1>", "", sge_jobs())
    env = played(qstat=listed, qconf=answer("sge/qconf-forbidden"), qsub="49\n")
    one = told(rig, {**env, "JOB_ID": "46", "SGE_TASK_ID": "undefined"})
    assert one.left_with == 0, one.errors
    assert played.calls("qsub") == [["-terse", "-hold_jid", "46", "job.sh"]]


def test_on_a_machine_without_one_nobody_goes_on(rig, played):
    one = told(rig, {**played(), "OUTLAST_LOCAL_JOB": "4711"})
    assert one.left_with == 85
    assert "not started again" in one.errors
