"""`outlast run` inside a job: what it asks, what it decides, and that two never go on."""

from __future__ import annotations

import json
import signal
import sys
import time

import pytest

import outlast
from outlast.format.jobs import JobName
from outlast.format.jobs import read as read_record
from supervise.slurmlike import SlurmLike

OBEDIENT = """
put("program.json", pid=os.getpid(), store=os.environ["OUTLAST_STORE"])
def leave():
    put("progress.json", store=os.environ["OUTLAST_STORE"], attempt=1, step=5, done=False, at="now")
    sys.exit(85)
on(signal.SIGTERM, leave)
say("ready", os.environ.get("OUTLAST_DEADLINE", "none"))
forever()
"""
CRASH = "put('program.json', pid=os.getpid(), store='/s'); say('ready'); sys.exit(7)"


@pytest.fixture
def slurm(rig):
    return SlurmLike(rig.folder / "bin")


def started(rig, slurm, text=OBEDIENT, *options, **env):
    verb = [sys.executable, "-m", "outlast", "run", "--store", "runs/x", *options, "--", *rig.program(text)]
    return rig.spawn(verb, env=slurm.environment(**env))


def record(rig, name="slurm-7.r0"):
    data = (rig.folder / "runs/x/jobs" / f"{name}.jsonl").read_bytes()
    log = read_record(JobName.parse(name), data)
    assert log.damaged == 0
    return log


def events(rig, name="slurm-7.r0"):
    return [event["event"] for event in record(rig, name).events]


def test_the_end_is_asked_for_and_passed_on(rig, slurm):
    ends = int(time.time()) + 1800
    slurm.job(EndTime=ends)
    one = started(rig, slurm)
    assert one.line() == f"ready {ends}.000"
    one.send(signal.SIGUSR1)
    assert one.status() == 85


def test_told_to_leave_it_is_put_back_once_and_nobody_else_is_sent(rig, slurm):
    slurm.answers("scontrol requeue", (0, "", ""))
    one = started(rig, slurm, OBEDIENT, "--script", "job.sh")
    one.line()
    one.send(signal.SIGUSR1)
    assert one.status() == 85
    assert slurm.calls("scontrol", "requeue") == [["scontrol", "requeue", "7"]]
    assert not slurm.calls("sbatch")
    assert events(rig) == ["placed", "start", "notice", "end", "decision", "decision", "decision"]
    assert record(rig).last("decision")["what"] == "requeue"


def test_of_an_array_just_the_task_is_put_back_and_has_a_store_of_its_own(rig, slurm):
    slurm.answers("scontrol requeue", (0, "", ""))
    text = OBEDIENT.replace('say("ready"', 'say(os.environ["OUTLAST_STORE"]')
    one = started(rig, slurm, text, SLURM_ARRAY_JOB_ID="6", SLURM_ARRAY_TASK_ID="3")
    assert one.line().split()[0] == str(rig.folder / "runs/x/3")
    one.send(signal.SIGTERM)
    assert one.status() == 85
    assert slurm.calls("scontrol", "requeue") == [["scontrol", "requeue", "6_3"]]


@pytest.mark.parametrize(
    ("answers", "times"),
    [
        ([(1, "", "Job is pending requeue"), (1, "", "no more")], 1),  # it was heard before
        ([(1, "", "slurm_update error: Unable to contact slurm controller"), (0, "", "")], 2),
        (
            [(1, "", "slurm_update error: Socket timed out on send/recv operation"), (1, "", "Job is pending requeue")],
            2,
        ),
    ],
)
def test_a_requeue_of_which_nobody_knows_is_asked_for_again_and_no_successor_sent(rig, slurm, answers, times):
    slurm.answers("scontrol requeue", *answers)
    one = started(rig, slurm, OBEDIENT, "--script", "job.sh")
    one.line()
    one.send(signal.SIGUSR1)
    assert one.status() == 85
    assert len(slurm.calls("scontrol", "requeue")) == times
    assert not slurm.calls("sbatch")


def test_a_refused_requeue_has_one_successor_and_the_job_ends_with_0(rig, slurm):
    """With 85 a site that has it requeued would have both go on."""
    slurm.answers("scontrol requeue", (1, "", "Requested operation is presently disabled for job 7"))
    slurm.answers("sbatch", (0, "8;cluster\n", ""))
    one = started(rig, slurm, OBEDIENT, "--script", "/a b/job.sh")
    one.line()
    one.send(signal.SIGUSR1)
    assert one.status() == 0
    assert slurm.calls("sbatch") == [["sbatch", "--parsable", "--dependency=afterany:7", "/a b/job.sh"]]
    assert record(rig).last("decision")["successor"] == "8"


def test_a_job_that_may_not_be_requeued_is_not_tried(rig, slurm):
    slurm.job(Requeue=0)
    slurm.answers("sbatch", (0, "8\n", ""))
    one = started(rig, slurm, OBEDIENT, "--script", "job.sh")
    one.line()
    one.send(signal.SIGUSR1)
    assert one.status() == 0
    assert not slurm.calls("scontrol", "requeue")
    assert len(slurm.calls("sbatch")) == 1


def test_a_submission_of_which_nobody_knows_is_looked_for_before_it_is_made_again(rig, slurm):
    slurm.job(Requeue=0)
    slurm.answers(
        "sbatch", (1, "", "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation")
    )
    ours, others = "7 7_N/A (null)\n", "5 5_N/A afterany:77(unfulfilled)\n8 8_N/A afterany:7(unfulfilled)\n"
    slurm.answers("squeue", (0, ours, ""), (0, others + ours, ""))
    one = started(rig, slurm, OBEDIENT, "--script", "job.sh")
    one.line()
    one.send(signal.SIGUSR1)
    assert one.status() == 0
    assert len(slurm.calls("sbatch")) == 1
    assert record(rig).last("decision")["successor"] == "8"


@pytest.mark.parametrize(
    "answer",
    [(1, "", "slurm_load_jobs error: Unable to contact slurm controller"), (0, "", ""), (0, "8 8_N/A (null)\n", "")],
)
def test_without_an_answer_from_the_queue_nothing_is_submitted_blindly(rig, slurm, answer):
    """An empty answer that was none made others resubmit without end: a list is one if our own job is in it."""
    slurm.job(Requeue=0)
    slurm.answers("squeue", answer)
    one = started(rig, slurm, OBEDIENT, "--script", "job.sh")
    one.line()
    one.send(signal.SIGUSR1)
    assert one.status() == 85
    assert not slurm.calls("sbatch")
    assert "whether a successor was taken is not known" in one.errors
    assert record(rig).last("decision")["what"] == "none"


def test_a_person_who_cancels_is_obeyed(rig, slurm):
    one = started(rig, slurm)
    one.line()
    now = int(time.time())
    slurm.job(JobState="COMPLETING", StartTime=now - 5, EndTime=now)
    one.send(signal.SIGTERM)
    assert one.status() == 85
    assert "the job was cancelled by a person" in one.errors
    assert not slurm.calls("scontrol", "requeue")
    assert not slurm.calls("sbatch")


def test_what_the_system_has_put_back_itself_is_left_alone(rig, slurm):
    one = started(rig, slurm)
    one.line()
    slurm.job(JobState="COMPLETING", Restarts=1, EndTime="Unknown")
    one.send(signal.SIGTERM)
    assert one.status() == 85
    assert "slurm has put the job back into the queue" in one.errors
    assert not slurm.calls("scontrol", "requeue")


def test_who_is_asked_to_stop_for_good_is_not_put_back(rig, slurm):
    """Nor does it end with 85, which some sites have requeued."""
    text = "put('program.json', pid=os.getpid(), store='/s'); put('leave', reason='outlast stop'); sys.exit(85)"
    one = started(rig, slurm, text)
    assert one.status() == 0
    assert "not started again; to go on" in one.errors
    assert not slurm.calls("scontrol", "requeue")
    assert not slurm.calls("sbatch")


def test_what_dies_of_the_notice_before_it_could_hear_it_is_put_back(rig, slurm):
    """A program takes seconds to import its framework; it is not done if it dies meanwhile."""
    slurm.answers("scontrol requeue", (0, "", ""))
    one = started(rig, slurm, "say('importing'); forever()")
    one.line()
    one.send(signal.SIGUSR1)
    assert one.status() == 85  # which alone has some systems put it back
    assert len(slurm.calls("scontrol", "requeue")) == 1


def test_done_is_never_put_back(rig, slurm):
    one = started(rig, slurm, "put('progress.json', store='/s', attempt=1, step=9, done=True, at='x'); say('done')")
    assert one.status() == 0
    assert not slurm.calls("scontrol", "requeue")
    again = started(rig, slurm, "say('again')", SLURM_RESTART_COUNT="1")
    assert again.status() == 0
    assert again.lines() == []
    assert "this run is done: nothing to do" in again.errors
    other = started(rig, slurm, "say('another job')", SLURM_JOB_ID="8")
    assert other.line() == "another job"
    assert other.status() == 0


def test_a_crash_loop_ends_and_is_not_put_back(rig, slurm):
    one = started(rig, slurm, CRASH)
    assert one.status() == 86
    assert one.lines() == ["ready"] * 3
    assert not slurm.calls("scontrol", "requeue")
    assert record(rig).last("decision")["what"] == "give-up"


def test_jobs_without_progress_come_to_an_end_though_each_was_put_back(rig, slurm):
    """Each leaves when it is told, and has saved nothing new: their time is too short for a step."""
    slurm.answers("scontrol requeue", (0, "", ""))
    live = {"x": 0}
    with pytest.raises(InterruptedError), outlast.Run(rig.folder / "runs/x", live) as run:
        run.due()
        run.save()
        raise InterruptedError
    for count in range(4):
        one = started(rig, slurm, OBEDIENT, SLURM_RESTART_COUNT=str(count))
        slurm.job(Restarts=count)
        if count < 3:
            one.line()
            one.send(signal.SIGUSR1)
            assert one.status() == (86 if count == 2 else 85)
        else:
            assert one.status() == 86
            assert one.lines() == []
    assert len(slurm.calls("scontrol", "requeue")) == 2
    assert "3 jobs in a row made no progress" in one.errors


@pytest.mark.parametrize(
    ("options", "reason"), [(("--max-attempts", "1"), "--max-attempts"), (("--max-time", "1s"), "--max-time")]
)
def test_bounds_hold_over_all_jobs(rig, slurm, options, reason):
    slurm.answers("scontrol requeue", (0, "", ""))
    one = started(rig, slurm, OBEDIENT, *options)
    if reason == "--max-attempts":
        one.line()
        one.send(signal.SIGUSR1)
    assert one.status() == 86
    assert reason in one.errors
    assert not slurm.calls("scontrol", "requeue")


QUICK = """
import sys
from outlast.cli.main import main
from outlast.supervise import placing
placing.LOOK_S = 0.05
sys.exit(main(sys.argv[1:]))
"""


def test_preemption_is_seen_without_any_signal(rig, slurm):
    slurm.answers("scontrol requeue", (0, "", ""))
    now = int(time.time())
    running, preempted = slurm.line(EndTime=now + 3600), slurm.line(EndTime=now + 60, PreemptTime=now)
    slurm.answers("scontrol show job", *[(0, running, "")] * 5, (0, preempted, ""))
    verb = [sys.executable, "-c", QUICK, "run", "--store", "runs/x", "--", *rig.program(OBEDIENT)]
    one = rig.spawn(verb, env=slurm.environment())
    assert one.status() == 85
    notices = [event["cause"] for event in record(rig).events if event["event"] == "notice"]
    assert notices == ["preemption"]
    assert len(slurm.calls("scontrol", "requeue")) == 1


def test_a_deadline_that_moves_is_told_to_the_program(rig, slurm):
    text = """
put("program.json", pid=os.getpid(), store="/s")
on(signal.SIGTERM, lambda: None)
say("ready")
for _ in range(2000):  # not for ever: it hears no signal
    if os.path.exists(os.path.join(control, "deadline")):
        break
    time.sleep(0.01)
say(json.load(open(os.path.join(control, "deadline")))["deadline"])
sys.exit(85)
"""
    slurm.answers("scontrol requeue", (0, "", ""))
    one = started(rig, slurm, text)
    one.line()
    ends = int(time.time()) + 120
    slurm.job(EndTime=ends)
    one.send(signal.SIGUSR1)
    assert one.line() == f"{ends}.0"
    assert one.status() == 85
    assert [event["event"] for event in record(rig).events].count("deadline") == 1


@pytest.mark.parametrize("kind", ["none", "silent", "garbage"])
def test_without_the_commands_it_goes_by_the_environment_and_says_so_once(rig, slurm, kind):
    """As in most containers."""
    ends = int(time.time()) + 900
    env = slurm.environment(SLURM_JOB_END_TIME=str(ends))
    if kind == "none":
        env["PATH"] = str(rig.folder)  # where no command is, of Slurm or otherwise
    elif kind == "silent":
        slurm.answers("scontrol show job", (1, "", "slurm_load_jobs error: Unable to contact slurm controller"))
    else:
        slurm.answers("scontrol show job", (0, "<html>\n", ""))
    verb = [sys.executable, "-c", QUICK, "run", "--store", "runs/x", "--", *rig.program(OBEDIENT)]
    one = rig.spawn(verb, env=env)
    assert one.line() == f"ready {ends}.000"
    one.send(signal.SIGUSR1)
    assert one.status() in (0, 85)
    assert one.errors.count("cannot be asked") == 1


def test_the_record_tells_no_secrets(rig, slurm):
    one = started(rig, slurm, "say('x'); sys.exit(2)  # --token=hunter2", SECRET="hunter2")
    assert one.status() == 2
    for path in (rig.folder / "runs/x/jobs").iterdir():
        assert b"hunter2" not in path.read_bytes()
    assert record(rig).placed["command"] == [sys.executable.rpartition("/")[2]]


def test_a_record_that_cannot_be_kept_keeps_nobody_from_working(rig, slurm):
    (rig.folder / "runs").write_text("a file where a folder is to be")
    one = started(rig, slurm, "say('worked')")
    assert one.status() == 0
    assert one.line() == "worked"
    assert "no record of this job is kept" in one.errors


def test_json_tells_who_goes_on(rig, slurm):
    slurm.answers("scontrol requeue", (0, "", ""))
    one = started(rig, slurm, OBEDIENT, "--json")
    one.line()
    one.send(signal.SIGUSR1)
    assert one.status() == 85
    told = [json.loads(line) for line in one.errors.splitlines() if line.startswith("{")]
    assert [event["fate"] for event in told if event["event"] == "hand-over"] == ["requeue"]


def test_what_was_mended_may_be_started_again_however_often_it_failed(rig, slurm):
    for number in range(4):
        one = started(rig, slurm, CRASH, SLURM_JOB_ID=str(100 + number))
        assert one.status() == 86
        assert one.lines() == ["ready"] * 3
    one = started(rig, slurm, CRASH, SLURM_JOB_ID="103", SLURM_RESTART_COUNT="1")
    assert one.status() == 86
    assert one.lines() == ["ready"] * 3


def test_what_is_run_by_hand_is_never_refused_for_its_past(rig):
    verb = [sys.executable, "-m", "outlast", "run", "--tries", "1", "--store", "runs/x", "--", *rig.program(CRASH)]
    for _ in range(5):
        one = rig.spawn(verb)
        assert one.status() == 7
        assert one.lines() == ["ready"]


def test_a_successor_is_of_the_same_row(rig, slurm):
    """Jobs that a job has sent are no second chance."""
    slurm.job(Requeue=0)
    live = {"x": 0}
    with pytest.raises(InterruptedError), outlast.Run(rig.folder / "runs/x", live) as run:
        run.due()
        run.save()
        raise InterruptedError
    for number in (7, 8, 9):
        slurm.answers("sbatch", (0, f"{number + 1}\n", ""))
        slurm.answers("squeue", (0, f"{number} {number}_N/A (null)\n", ""))
        one = started(rig, slurm, OBEDIENT, "--script", "job.sh", SLURM_JOB_ID=str(number))
        one.line()
        one.send(signal.SIGUSR1)
        assert one.status() == (86 if number == 9 else 0)
    assert len(slurm.calls("sbatch")) == 2


def test_of_two_of_us_only_the_outer_one_deals_with_the_job(rig, slurm):
    slurm.job(Requeue=0)
    slurm.answers("sbatch", (0, "8\n", ""))
    slurm.answers("squeue", (0, "9 7_3 (null)\n", ""))
    inner = [sys.executable, "-m", "outlast", "run", "--script", "inner.sh", "--", *rig.program(OBEDIENT)]
    verb = [sys.executable, "-m", "outlast", "run", "--store", "runs/x", "--script", "outer.sh", "--", *inner]
    one = rig.spawn(verb, env=slurm.environment(SLURM_ARRAY_JOB_ID="7", SLURM_ARRAY_TASK_ID="3"))
    one.line()
    one.send(signal.SIGUSR1)
    assert one.status() == 0
    assert [call[-1] for call in slurm.calls("sbatch")] == ["outer.sh"]
    assert (rig.folder / "runs/x/3").is_dir()
    assert not (rig.folder / "runs/x/3/3").exists()


def test_a_supervisor_that_is_not_above_is_none(rig, slurm):
    """A job that was submitted from inside another one has that one's environment."""
    slurm.answers("scontrol requeue", (0, "", ""))
    one = started(rig, slurm, OBEDIENT, OUTLAST_SUPERVISOR="1000000", OUTLAST_CONTROL="/nowhere")
    one.line()
    one.send(signal.SIGUSR1)
    assert one.status() == 85
    assert len(slurm.calls("scontrol", "requeue")) == 1


def test_it_takes_little_memory(rig, slurm):
    """It waits beside the computation for days."""
    one = started(rig, slurm)
    one.line()
    with open(f"/proc/{one.process.pid}/status") as file:
        (most,) = [int(line.split()[1]) for line in file if line.startswith("VmHWM")]
    assert most < 40_000  # KiB
    one.send(signal.SIGKILL)
    one.status()


def test_a_deadline_that_is_over_is_none(rig, slurm):
    """Sites let jobs run on for a while, and clocks differ: to be killed for that is to lose what was saved for."""
    slurm.answers("scontrol requeue", (0, "", ""))
    slurm.job(EndTime=int(time.time()) - 5, StartTime=int(time.time()) - 3605)
    one = started(rig, slurm)
    assert one.line() == "ready none"
    one.send(signal.SIGUSR1)
    assert one.status() == 85


def test_a_step_that_was_told_alone_is_not_started_again_in_a_job_that_ends(rig, slurm):
    """Slurm tells the steps of a job that is preempted, and not its batch script."""
    slurm.answers("scontrol requeue", (0, "", ""))
    now = int(time.time())
    running, preempted = slurm.line(), slurm.line(EndTime=now + 60, PreemptTime=now)
    slurm.answers("scontrol show job", (0, running, ""), (0, preempted, ""))
    text = "put('program.json', pid=os.getpid(), store='/s'); say('ready', attempt()); sys.exit(85)"
    one = started(rig, slurm, text)
    assert one.status() == 85
    assert one.lines() == ["ready 1"]
    assert len(slurm.calls("scontrol", "requeue")) == 1
