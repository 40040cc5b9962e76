"""How attempts ended, told from journals and job records as real kills, limits and requeues leave them."""

from __future__ import annotations

import pytest

from outlast.clock import iso
from outlast.format.jobs import JobName
from outlast.store import AttemptLog
from outlast.store.endings import Ending
from outlast.store.history import history
from store.histories import (
    T,
    decision,
    end,
    ended,
    job,
    journal,
    notice,
    placed,
    reached,
    record,
    restored,
    saved,
    start,
    started,
)  # fmt: skip

FIRST, AGAIN = job(), job(restarts=1)


def told(logs, records=(), **more):
    return [(one.ending, one.how) for one in history(logs, records, **more).attempts]


def one(logs, records=(), **more):
    return told(logs, records, **more)[0]


# -- a program that could say how it ended -----------------------------------------------------------------


def test_done():
    log = journal(1, 2, started(), saved(8, 5, done=True), ended(9, "done"), name=FIRST)
    assert one([log], [record(FIRST, placed(), start(), end(10, 0))]) == (Ending.DONE, "done")
    assert one([log]) == (Ending.DONE, "done")


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([notice(50, "deadline", "its time is over")], (Ending.WALL_TIME, "saved and left: wall-time limit")),
        ([notice(50, "preemption", "")], (Ending.PREEMPTED, "saved and left: preempted")),
        ([notice(50, "person", "outlast stop")], (Ending.ASKED, "saved and left: outlast stop")),
        ([notice(50, "signal", "SIGTERM")], (Ending.ASKED, "saved and left: SIGTERM")),
        ([notice(49, "signal"), notice(50, "preemption")], (Ending.PREEMPTED, "saved and left: preempted")),
        ([notice(49, "signal"), notice(50, "deadline")], (Ending.WALL_TIME, "saved and left: wall-time limit")),
        ([], (Ending.ASKED, "saved and left: as asked")),
    ],
)
def test_left_on_notice(events, expected):
    log = journal(1, 2, started(), saved(55, 5), ended(56, "preempted", reason="as asked"), name=FIRST)
    assert one([log], [record(FIRST, placed(), start(), *events, end(57, 85, "outside"))]) == expected


@pytest.mark.parametrize(
    ("at", "length", "ending"),
    [(3500, 4000, Ending.WALL_TIME), (3300, 4000, Ending.ASKED), (28000, 30000, Ending.WALL_TIME),
     (26000, 30000, Ending.ASKED), (40, 60, Ending.WALL_TIME), (20, 60, Ending.ASKED)],
)  # fmt: skip
def test_a_signal_late_in_the_job_stands_for_its_limit(at, length, ending):
    """Slurm's own warning is a signal like any other; what tells it from a person's is when it comes."""
    log = journal(1, 2, started(), ended(at + 1, "preempted", reason="SIGUSR1"), name=FIRST)
    records = [record(FIRST, placed(deadline=length), start(), notice(at, "signal"), end(at + 2, 85, "outside"))]
    expected = "wall-time limit (SIGUSR1)" if ending is Ending.WALL_TIME else "SIGUSR1"
    assert one([log], records) == (ending, f"saved and left: {expected}")


def test_a_deadline_that_has_moved_is_the_one_that_counts():
    log = journal(1, 2, started(), ended(101, "preempted", reason="SIGUSR1"), name=FIRST)
    moved = (50, "deadline", {"deadline": T + 36_000})
    records = [record(FIRST, placed(deadline=120), start(), moved, notice(100, "signal"), end(102, 85))]
    assert one([log], records)[0] is Ending.ASKED


def test_the_last_word_on_the_deadline_of_a_start():
    def deadline(*events):
        past = history([journal(1, 3, started(), name=FIRST)], [record(FIRST, *events)], live=1)
        return None if past.deadline_s is None else past.deadline_s - T

    moved, lifted = (2.5, "deadline", {"deadline": T + 900}), (2.5, "deadline", {"reason": "no limit"})
    assert deadline(placed(deadline=100), start(2)) == 100
    assert deadline(placed(deadline=100), start(2, deadline=T + 30)) == 30
    assert deadline(placed(deadline=100), start(2, deadline=T + 30), moved) == 900
    assert deadline(placed(deadline=100), start(2), lifted) is None
    assert deadline(placed(deadline=100), start(1, deadline=T + 30), end(1.5, 1), start(2)) == 100


def test_the_time_given_by_outlast_run_itself():
    name = JobName.local("n1", 7, T)
    log = journal(1, 2, started(), ended(31, "preempted", reason="its time is over"))
    records = [record(name, placed(), start(deadline=T + 40), notice(30, "deadline"), end(32, 85, "deadline"))]
    assert one([log], records) == (Ending.WALL_TIME, "saved and left: wall-time limit")


def test_what_the_program_was_told_goes_before_a_guess_from_its_status():
    log = journal(1, 2, started(), ended(8, "preempted", reason="outlast stop, by me"), name=FIRST)
    asked = record(FIRST, placed(), start(), end(9, 85, "leave"))
    assert one([log], [asked]) == (Ending.ASKED, "saved and left: outlast stop, by me")


def test_left_without_being_asked_to():
    assert one([journal(1, 2, started(), ended(9, "preempted"))]) == (Ending.LEFT, "saved and left")
    assert one([], [record(FIRST, placed(), start(), end(9, 85))]) == (Ending.LEFT, "saved and left")
    asked = record(FIRST, placed(), start(), end(9, 85, "leave"))
    assert one([], [asked]) == (Ending.ASKED, "saved and left: a person asked for it")


# -- one whose supervisor could ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (1, (Ending.CRASHED, "crashed with status 1 (ValueError)")),
        (139, (Ending.CRASHED, "crashed with SIGSEGV (ValueError)")),
        (137, (Ending.KILLED, "killed by SIGKILL without notice")),
        (143, (Ending.KILLED, "killed by SIGTERM without notice")),
        (0, (Ending.LEFT, "left with status 0, and is not done")),
    ],
)
def test_ended_by_itself_or_from_outside(status, expected):
    log = journal(1, 2, started(), ended(9, "failed", error="ValueError"), name=FIRST)
    records = [record(FIRST, placed(), start(), end(10, status, tail=["Traceback", "ValueError: x"]))]
    assert one([log], records) == expected
    tail = ("Traceback", "ValueError: x") if expected[0] in (Ending.CRASHED, Ending.KILLED) else ()
    assert history([log], records).attempts[0].tail == tail


def test_killed_after_a_notice_for_it_did_not_leave():
    log = journal(1, 2, started(), saved(5, 3), name=FIRST)
    records = [record(FIRST, placed(), start(), notice(50, "deadline"), end(60, 137, "deadline"))]
    assert one([log], records) == (Ending.WALL_TIME, "killed by SIGKILL: wall-time limit; it did not leave in time")
    deaf = [record(FIRST, placed(), start(), notice(50, "deadline"), end(51, 143, "deadline"))]
    assert one([log], deaf) == (Ending.WALL_TIME, "ended by SIGTERM without saving: wall-time limit")
    crash = [record(FIRST, placed(), start(), notice(50, "preemption"), end(60, 1))]
    assert one([log], crash) == (Ending.CRASHED, "crashed with status 1 after a notice: preempted")


def test_a_crash_before_the_store_was_opened_is_an_attempt_too():
    records = [record(FIRST, placed(pid=77), start(), end(2, 1, progress=False, tail=["ImportError: no"]))]
    (attempt,) = history([], records).attempts
    assert (attempt.number, attempt.how, attempt.tail) == (None, "crashed with status 1", ("ImportError: no",))
    assert (attempt.lost_s, attempt.host, attempt.role, attempt.pid) == (1.0, "n1", "run", 77)


def test_a_program_that_keeps_its_state_itself():
    records = [record(FIRST, placed(), start(), end(60, 85, "deadline", step=40, progress=True)),
               record(AGAIN, placed(100), start(101), end(140, 0, step=60, progress=True))]  # fmt: skip
    past = history([], records)
    assert [(a.to_step, a.ending, a.lost_s) for a in past.attempts] == [
        (40, Ending.WALL_TIME, 0.0), (60, Ending.DONE, 0.0),
    ]  # fmt: skip


def test_giving_up_is_said_with_its_reason():
    records = [record(FIRST, placed(), start(), end(9, 1), decision(9, "give-up", "3 attempts made no progress"))]
    past = history([], records)
    assert past.attempts[0].how == "crashed with status 1; gave up: 3 attempts made no progress"
    assert past.decision["what"] == "give-up"


def test_a_decision_is_over_when_somebody_has_started_it_again():
    records = [record(FIRST, placed(), start(), end(9, 1), decision(9, "give-up"))]
    assert history([journal(1, 50, started(51))], records).decision is None


# -- nobody could ------------------------------------------------------------------------------------------


def vanished(*after, first=None, **more):
    log = journal(1, 2, started(), saved(5, 3), name=FIRST)
    records = [record(FIRST, *(first or (placed(), start()))), *([record(AGAIN, *after)] if after else [])]
    return one([log], records, **more)


def test_killed_and_nobody_went_on():
    assert vanished() == (Ending.KILLED, "killed without notice")
    assert one([journal(1, 2, started())]) == (Ending.KILLED, "killed or crashed")


def test_killed_and_requeued_on_the_same_node():
    assert vanished(placed(200), start(201)) == (Ending.KILLED, "killed without notice")


def test_a_node_that_failed():
    other = vanished(placed(200, host="n2", boot="b7"), start(201))
    assert other == (Ending.NODE, "node failure, or preempted without grace: it went on on n2")
    again = vanished(placed(200, boot="b2"), start(201))
    assert again == (Ending.NODE, "node failure: n1 was started again")


def test_a_second_command_of_the_same_placing_is_no_requeue():
    """Nothing was placed again, so a node with another name says nothing: it is a step on another node of the job."""
    logs = [journal(1, 2, started(), name=FIRST), journal(2, 200, started(201), name=FIRST, host="n2", boot="b7")]
    assert one(logs) == (Ending.KILLED, "killed or crashed")


def test_without_a_record_the_claims_tell_of_a_node_that_failed():
    logs = [journal(1, 2, started(), name=FIRST), journal(2, 200, started(201), name=AGAIN, host="n2", boot="b7")]
    assert one(logs)[0] is Ending.NODE
    by_hand = [journal(1, 2, started()), journal(2, 200, started(201), host="n2", boot="b7")]
    assert one(by_hand) == (Ending.KILLED, "killed or crashed")  # on another machine, or rebooted since: no evidence


def test_another_job_on_another_node_says_nothing_of_the_first_one():
    records = [record(FIRST, placed(), start()), record(job("2"), placed(200, host="n2", boot="b7"), start(201))]
    assert one([journal(1, 2, started(), name=FIRST)], records) == (Ending.KILLED, "killed without notice")


@pytest.mark.parametrize(
    ("previous", "ending"),
    [("NODE_FAIL", Ending.NODE), ("PREEMPTED", Ending.PREEMPTED), ("TIMEOUT", Ending.WALL_TIME),
     ("CANCELLED by 1000", Ending.ASKED), ("OUT_OF_MEMORY", Ending.KILLED), (" ", Ending.KILLED)],
)  # fmt: skip
def test_what_the_batch_system_says_goes_before_what_it_looks_like(previous, ending):
    assert vanished(placed(200, previous=previous), start(201))[0] is ending


def test_killed_at_the_limit_without_notice():
    first = (placed(deadline=100), start())
    limit = (Ending.WALL_TIME, "killed at the wall-time limit, without notice")
    assert vanished(placed(200, host="n2"), start(201), first=first, signs={1: T + 95}) == limit
    assert vanished(first=first, signs={1: T + 70})[0] is Ending.KILLED
    requeued = placed(200, host="n2", submitted=T + 104)  # the only sign of a program that keeps no journal
    assert one([], [record(FIRST, *first), record(AGAIN, requeued, start(201))]) == limit


def test_gone_between_notice_and_save():
    first = (placed(), start(), notice(50, "preemption"))
    assert vanished(first=first) == (Ending.PREEMPTED, "killed: preempted; it did not leave in time")


def test_one_that_lives():
    log = journal(1, 2, started(), saved(5, 3), reached(6, 9), name=FIRST)
    past = history([log], [record(FIRST, placed(deadline=100), start())], live=1)
    (attempt,) = past.attempts
    assert (attempt.ending, attempt.how, attempt.ended_s, attempt.steps_lost) == (Ending.RUNNING, "running", None, 0)
    assert attempt.pid == 9
    assert past.deadline_s == T + 100
    assert history([log], [], live=1).deadline_s is None


def test_a_supervisor_that_lives_before_its_program_has_opened_the_store():
    records = [record(FIRST, placed(deadline=100), start())]
    assert one([], records, alive={FIRST}) == (Ending.RUNNING, "running")
    assert one([], records) == (Ending.KILLED, "killed without notice")


# -- which start an attempt came from ----------------------------------------------------------------------


def test_attempts_of_one_job_find_their_starts():
    logs = [journal(n, at, started(at + 1), name=FIRST) for n, at in ((1, 2), (2, 12), (3, 22))]
    records = [record(FIRST, placed(), start(1, 1), end(9, 1), start(11, 2), end(19, 139), start(21, 3), end(29, 137))]
    assert [how for _, how in told(logs, records)] == [
        "crashed with status 1", "crashed with SIGSEGV", "killed by SIGKILL without notice",
    ]  # fmt: skip


def test_clocks_of_two_nodes_may_differ_a_little():
    """The program's node is 3 s behind its supervisor's; on one node nothing begins before it is started."""
    records = [record(FIRST, placed(), start(10), end(20, 1))]
    behind = journal(1, 7, started(), host="n2")
    assert [one.number for one in history([behind], records).attempts] == [1]
    ahead = journal(1, 23, started(), host="n2")
    assert [one.number for one in history([ahead], records).attempts] == [1]
    before = journal(1, 7, started())
    assert [one.number for one in history([before], records).attempts] == [1, None]


def test_a_stale_attempt_beside_the_new_one_keeps_its_own_record():
    """Split brain: node 1 is cut off and goes on; the job was requeued on node 2 meanwhile."""
    old = record(FIRST, placed(), start(), end(300, 5))
    new = record(AGAIN, placed(100, host="n2", boot="b2"), start(101), end(200, 0))
    logs = [
        journal(1, 2, started(), saved(5, 3), ended(299, "failed", error="FencedError"), name=FIRST),
        journal(2, 102, restored(103, 3), saved(190, 9, done=True), ended(191, "done"), name=AGAIN, host="n2"),
    ]
    assert told(logs, [old, new]) == [
        (Ending.CRASHED, "crashed with status 5 (FencedError)"), (Ending.DONE, "done"),
    ]  # fmt: skip


def test_a_task_of_an_array_whose_claim_has_another_number():
    name = job("1234", "7")
    log = journal(1, 2, started(), name=job("1241", "7"))
    past = history([log], [record(name, placed(), start(), end(9, 1))])
    assert [(a.number, a.placing, a.status) for a in past.attempts] == [(1, name, 1)]


def test_two_programs_of_one_start():
    """A script that runs the program twice: the last one has the end of the start, the first one its own word."""
    logs = [journal(1, 2, started(), ended(4, "failed", error="KeyError")), journal(2, 5, started(6))]
    past = history(logs, [record(FIRST, placed(), start(), end(9, 1))])
    assert [(a.number, a.how, a.status) for a in past.attempts] == [
        (1, "failed (KeyError)", None), (2, "crashed with status 1", 1),
    ]  # fmt: skip


def test_who_prunes_beside_the_run_is_no_program_of_its_job():
    logs = [journal(1, 2, started(), ended(8, "failed")), journal(2, 3, ended(4, "pruned"), role="prune")]
    past = history(logs, [record(FIRST, placed(), start(), end(9, 1))])
    assert [(a.number, a.status, a.how, a.is_run) for a in past.attempts] == [
        (1, 1, "crashed with status 1", True), (2, None, "pruned", False),
    ]  # fmt: skip
    assert past.last.number == 1


def test_a_second_command_of_the_same_job_ends_what_the_first_left_open():
    records = [record(FIRST, placed(), start(1, 1), placed(50), start(51, 1), end(60, 0))]
    past = history([], records)
    assert [(a.began_s - T, a.ending) for a in past.attempts] == [(1, Ending.KILLED), (51, Ending.DONE)]


def test_attempts_stay_in_the_order_of_their_numbers_whatever_the_clocks_say():
    unreadable = AttemptLog(attempt=2, events=(), damaged=1)
    past = history([journal(1, 100, started()), unreadable, journal(3, 50, started())],
                   [record(FIRST, placed(), start(), end(9, 1))])  # fmt: skip
    assert [one.number for one in past.attempts] == [None, 1, 2, 3]


def test_journals_that_cannot_be_read():
    past = history([AttemptLog(attempt=1, events=(), damaged=1)])
    (attempt,) = past.attempts
    assert (attempt.number, attempt.began_s, attempt.damaged, attempt.lost_s) == (1, 0.0, 1, 0.0)


# -- what was lost -----------------------------------------------------------------------------------------


def test_what_a_kill_cost_in_steps_and_in_time():
    """Step 9 was seen, step 5 saved at second 50; the last heartbeat was at second 75."""
    log = journal(1, 2, started(), saved(50, 5), reached(60, 9))
    past = history([log], signs={1: T + 75})
    assert (past.steps_lost, past.lost_s) == (4, 25.0)
    assert past.attempts[0].ended_s == T + 75
    assert not past.attempts[0].is_end_said


def test_a_heartbeat_later_than_the_next_attempt_is_of_a_copied_file():
    logs = [journal(1, 2, started(), saved(50, 5)), journal(2, 70, restored(71, 5))]
    assert history(logs, signs={1: T + 9999}).attempts[0].lost_s == 20.0


def test_before_its_first_save_everything_is_lost():
    log = journal(1, 2, started(), reached(30, 3), ended(42, "failed"))
    assert (history([log]).steps_lost, history([log]).lost_s) == (3, 40.0)


def test_who_saved_and_left_lost_nothing():
    logs = [journal(1, 2, started(), saved(50, 5), ended(58, "preempted", reason="SIGTERM"))]
    assert (history(logs).steps_lost, history(logs).lost_s) == (0, 0.0)
    done = [journal(1, 2, started(), saved(50, 5, done=True), ended(58, "done"))]
    assert history(done).lost_s == 0.0


def test_what_was_kept_and_how_fast_it_went():
    logs = [journal(1, 0, started(10), saved(60, 100), ended(70, "failed")),
            journal(2, 100, restored(110, 100), saved(160, 250))]  # fmt: skip
    past = history(logs)
    assert past.steps_per_s == pytest.approx(250 / 100)
    assert past.saved == (T + 160, 250)
    assert past.used_s(T + 1000) == pytest.approx(70 + 60)
    idle = journal(3, 300, restored(310, 250), saved(400, 250))  # asked to save where it began: that tells no speed
    assert history([*logs, idle]).steps_per_s == pytest.approx(250 / 100)
    assert history([]).steps_per_s is None
    assert (history([]).saved, history([]).last, history([]).decision) == (None, None, None)


def test_how_long_a_job_waited():
    times = {"submitted": T - 100, "eligible": T - 60}
    (attempt,) = history([], [record(FIRST, placed(5, began=T, **times), start(6), end(9, 0))]).attempts
    assert (attempt.queued_s, attempt.placed_s, attempt.began_s) == (T - 60, T, T + 6)
    assert iso(attempt.began_s).startswith("2025-11-29T12:00:06")


def test_a_claim_that_its_supervisor_made_before_the_start_is_of_that_start():
    """It verifies what it gives to a program that saves files, however long that takes, and then starts it."""
    logs = [
        journal(1, 1, started(2), saved(9, 5), ended(20, "preempted"), name=FIRST),
        journal(2, 21, restored(80, 5), ended(100, "failed"), name=FIRST),
    ]
    events = [
        placed(pid=9),
        start(2), end(19, 85), decision(20, "restart"),
        start(90, 2), end(99, 7), decision(99, "restart"),
    ]  # fmt: skip
    found = history(logs, [record(FIRST, *events)]).attempts
    assert [(one.number, one.status) for one in found] == [(1, 85), (2, 7)]
