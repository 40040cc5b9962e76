"""What ends jobs on a real Slurm, and that a run outlasts it: each ends bit for bit as if nothing had happened."""

from __future__ import annotations

import dataclasses
from contextlib import contextmanager

import pytest

from outlast.store import Store
from slurm.cluster import until
from slurm.scenario import EVERY, LOST, Scenario

ALL_NODES = ("--partition=main", "--nodes=4", "--exclusive")
WAIT = "#!/bin/sh\nuntil [ -e over ]; do sleep 0.1; done\n"


@pytest.fixture
def run(cluster, folder):
    return Scenario(cluster, folder)


# Slurm looks after time limits every half a minute, and none is below a minute: these run beside all others.
LIMITED = {
    "signalled": ((), ()),
    "killed": ((), ("--deaf-at=25",)),
    "not-signalled": (("--signal=B:CONT@60",), ()),
}


@pytest.fixture(scope="module", autouse=True)
def limited(_cluster):
    """Runs whose jobs have one minute each, by name, and their jobs' ids."""
    folder = _cluster.make_folder("limited")
    runs = {
        name: Scenario(_cluster, folder, steps=1300, options=more, name=name) for name, (_, more) in LIMITED.items()
    }
    return {name: (run, run.submit("--partition=apart", "--time=1", *LIMITED[name][0])) for name, run in runs.items()}


def preempt(cluster, folder, *jobs):
    """Take all nodes for another job: those of the partitions at risk have to make room. They start again after it."""
    (folder / "over").unlink(missing_ok=True)
    other = cluster.submit(WAIT, *ALL_NODES, "--output=other", folder=folder)
    cluster.wait_for(other, "RUNNING")
    for job in jobs:
        assert cluster.job(job)["JobState"] == "PENDING"
    (folder / "over").touch()
    cluster.wait_for(other, "COMPLETED")


@contextmanager
def configured(cluster, **settings):
    """Let the cluster have other settings for a while."""
    before = cluster.settings
    cluster.configure(dataclasses.replace(before, **settings))
    yield
    cluster.configure(before)


def finish(cluster, run, job):
    run.hurry()
    ended = cluster.wait_for_end(job)
    assert (ended["JobState"], ended["ExitCode"]) == ("COMPLETED", "0:0"), run.said()
    return ended


@pytest.mark.parametrize("sends_user_signal", [True, False])
def test_preempted_with_grace_it_loses_no_step_whoever_is_told(cluster, folder, sends_user_signal):
    """Where no user signal is sent, the steps are told at once, and the batch script in the end."""
    runs = [Scenario(cluster, folder, name="plain"), Scenario(cluster, folder, launcher=["srun"], name="srun")]
    with configured(cluster, sends_user_signal=sends_user_signal):
        jobs = [run.submit("--partition=main_risk") for run in runs]
        for run in runs:
            run.await_steps(3)
        preempt(cluster, folder, *jobs)
    for run, job in zip(runs, jobs, strict=True):
        run.await_attempt(2)
        assert finish(cluster, run, job)["Restarts"] == "1"
        assert {log.last("ended")["outcome"] for log in run.attempts()} == {"preempted", "done"}
        run.check(lost=0)


def test_each_of_several_ranks_is_told_and_none_of_their_workers(cluster, folder):
    """On two nodes, of which one has no supervisor: srun passes the notice on to every process there."""
    ranks = [Scenario(cluster, folder, name=f"ranks-{number}") for number in range(2)]
    whole = Scenario(cluster, folder, launcher=["srun"], options=["--rank"], name="ranks")
    job = whole.submit("--partition=main_risk", "--nodes=2", "--ntasks=2", "--ntasks-per-node=1")
    for rank in ranks:
        rank.await_steps(3)
    preempt(cluster, folder, job)
    for rank in ranks:
        rank.await_attempt(2)
        rank.hurry()
    assert finish(cluster, whole, job)["Restarts"] == "1"
    assert not [path.name for path in folder.glob("*.heard")]
    for rank in ranks:
        assert {log.last("ended")["outcome"] for log in rank.attempts()} == {"preempted", "done"}
        rank.check(lost=0)
    assert len({step.node for rank in ranks for step in rank.done() if step.attempt == 1}) == 2


def test_preempted_without_grace_it_saves_if_a_step_ends_in_time_and_loses_an_interval_if_not(cluster, folder):
    quick, slow = (
        Scenario(cluster, folder, name="quick"),
        Scenario(cluster, folder, options=["--deaf-at=25"], name="slow"),
    )
    jobs = [run.submit("--partition=main_abrupt") for run in (quick, slow)]
    quick.await_steps(3)
    slow.await_steps(26)
    until(lambda: 20 in [name.step for name in Store(slow.store).checkpoints()])
    preempt(cluster, folder, *jobs)
    for run, job in zip((quick, slow), jobs, strict=True):
        run.await_attempt(2)
        assert finish(cluster, run, job)["Restarts"] == "1"
    assert next(step.number for step in slow.done() if step.attempt == 2) == 20
    quick.check(lost=0)
    slow.check(lost=LOST)


def test_requeued_by_an_operator_it_loses_no_step_and_is_not_requeued_twice(cluster, folder, run):
    job = run.submit("--partition=main")
    run.await_steps(3)
    cluster.requeue(job)
    run.await_attempt(2)
    assert finish(cluster, run, job)["Restarts"] == "1"
    run.check(lost=0)


def test_requeued_after_it_was_done_it_does_nothing(cluster, folder, run):
    run.hurry()
    job = run.submit("--partition=main")
    finish(cluster, run, job)
    steps, attempts = len(run.done()), len(run.attempts())
    cluster.requeue(job)
    cluster.wait_for(job, lambda fields: fields["JobState"] == "COMPLETED" and fields["Restarts"] == "1")
    assert (len(run.done()), len(run.attempts())) == (steps, attempts)
    assert "nothing to do" in run.said()
    run.check(lost=0)


def test_nodes_without_power_and_without_network(cluster, folder):
    """A node that is off has lost one interval; one that is cut off writes on beside its successor, and comes back."""
    dark, alone = (Scenario(cluster, folder, steps=1200, name=name) for name in ("dark", "alone"))
    jobs = [dark.submit("--partition=main", "--exclude=n2"), alone.submit("--partition=main", "--exclude=n1")]
    for run in (dark, alone):
        run.await_steps(EVERY + 3)
    assert [cluster.job(job)["BatchHost"] for job in jobs] == ["n1", "n2"]
    cluster.cut("n2")
    cluster.power_off("n1")
    before = len(alone.done())
    alone.await_steps(before + EVERY, attempt=1, node="n2")

    for run in (dark, alone):
        run.await_attempt(2)
    until(lambda: alone.attempts()[0].last("ended"))
    until(lambda: "attempt 2 has taken over this run; attempt 1 must not write any more" in alone.said())
    cluster.heal("n2")
    cluster.boot("n1")
    cluster.welcome("n2")

    for run, job in zip((dark, alone), jobs, strict=True):
        ended = finish(cluster, run, job)
        assert ended["Restarts"] == "1"
        assert ended["BatchHost"] in ("n3", "n4")
        assert len(run.attempts()) == 2
    assert dark.endings() == ["node failure", "done"]
    dark.check(lost=LOST)
    alone.check(lost=LOST + EVERY)


def test_node_set_down(cluster, folder, run):
    job = run.submit("--partition=main")
    run.await_steps(EVERY + 3)
    first = cluster.job(job)["BatchHost"]
    cluster.set_down(first)
    run.await_attempt(2)
    ended = finish(cluster, run, job)
    assert ended["Restarts"] == "1"
    assert ended["BatchHost"] != first
    run.check(lost=LOST)


def test_cancelled_by_its_user_it_is_not_started_again_until_it_is_submitted_again(cluster, folder, run):
    job = run.submit("--partition=main_risk")
    run.await_steps(3)
    cluster.cancel(job)
    assert cluster.wait_for_end(job)["JobState"] == "CANCELLED"
    until(lambda: run.attempts()[-1].last("ended"))
    until(lambda: not cluster.queue(), cluster.queue)
    assert "cancelled by a person" in run.said()
    again = run.submit("--partition=main_risk")
    run.await_attempt(2)
    assert finish(cluster, run, again)["Restarts"] == "0"
    run.check(lost=0)


def test_a_crash_loop_stops_with_its_reason_and_what_was_mended_goes_on(cluster, folder, run):
    run.hurry()
    job = run.submit("--partition=main_risk", more=["--crash-at=47"])
    ended = cluster.wait_for_end(job)
    assert (ended["JobState"], ended["ExitCode"], ended["Restarts"]) == ("FAILED", "86:0", "0")
    assert not cluster.queue()
    assert "3 attempts in a row made no progress" in run.said()
    assert run.said().count("ValueError: as asked") == len(run.attempts())
    assert set(run.endings()) == {"crashed"}
    assert "3 attempts in a row made no progress" in cluster.ask("outlast", "status", str(run.store))
    finish(cluster, run, run.submit("--partition=main_risk"))
    run.check(lost=LOST, losses=len(run.attempts()) - 1)


def test_an_array_of_twenty_is_preempted_and_each_task_is_a_run_of_its_own(cluster, folder):
    array = Scenario(cluster, folder, name="array")
    job = array.submit("--partition=main_risk", "--array=0-19")
    runs = [Scenario(cluster, array.store, name=str(task)) for task in range(20)]
    for run in runs:
        run.await_steps(1)
    preempt(cluster, folder)
    for run in runs:
        run.hurry()
    for run in runs:
        run.await_attempt(2)
    until(lambda: not cluster.queue())
    ended = cluster.jobs(job)
    assert len(ended) == 20
    assert {task["JobState"] for task in ended} == {"COMPLETED"}
    assert {task["Restarts"] for task in ended} == {"1"}
    for run in runs:
        run.check(lost=0)


def test_where_requeue_is_forbidden_each_job_has_one_successor(cluster, folder, run):
    first = run.submit("--partition=main_risk", "--no-requeue")
    jobs = [first]
    for attempt in (1, 2):
        run.await_attempt(attempt)
        cluster.signal(jobs[-1], "USR1")
        assert cluster.wait_for_end(jobs[-1])["Restarts"] == "0"
        until(run.queue)
        jobs += run.queue()
    run.await_attempt(3)
    finish(cluster, run, jobs[-1])
    assert len(set(jobs)) == 3
    run.check(lost=0)


def test_the_second_of_two_copies_is_refused(cluster, folder):
    run = Scenario(cluster, folder, steps=800)
    job = run.submit("--partition=main")
    run.await_steps(3)
    with pytest.raises(AssertionError, match=r"is in use by process .*: nothing was submitted"):
        run.submit("--partition=main")
    host = cluster.job(job)["BatchHost"]
    script = next(run.store.glob("jobs/*.sh"))
    for where in (f"--nodelist={host}", f"--exclude={host}"):
        copy = cluster.ask("sbatch", "--parsable", where, "--partition=main", str(script), folder=folder).strip()
        ended = cluster.wait_for_end(copy)
        assert (ended["JobState"], ended["ExitCode"]) == ("FAILED", "5:0")
        assert "attempt 1 of this run still lives" in run.said(copy)
    assert len(run.attempts()) == 1
    finish(cluster, run, job)
    run.check(lost=0)


def test_told_of_its_limit_by_slurm_again_and_again_it_loses_no_step(cluster, limited):
    run, job = limited["signalled"]
    run.await_attempt(3)
    assert int(finish(cluster, run, job)["Restarts"]) >= 2
    assert {log.last("ended")["outcome"] for log in run.attempts()} == {"preempted", "done"}
    run.check(lost=0)


def test_killed_at_its_limit_it_goes_on_from_the_last_save(cluster, limited):
    run, job = limited["killed"]
    run.await_attempt(2)
    assert int(finish(cluster, run, job)["Restarts"]) >= 1
    run.check(lost=LOST)


def test_not_told_of_its_limit_it_finds_out_by_itself(cluster, limited):
    run, job = limited["not-signalled"]
    run.await_attempt(2)
    assert int(finish(cluster, run, job)["Restarts"]) >= 1
    assert run.endings()[0] == "wall-time"
    run.check(lost=0)
