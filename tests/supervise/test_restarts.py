"""Exit statuses, restarts, giving up, deadlines (spec/process-v1.md, 5 and 6), with real processes."""

import pytest

ONE_TRY = {"tries": 1}
THOUSAND = {"time_s": 1000.0, "grace_s": 500.0, "shifted": True}


@pytest.mark.parametrize("status", [0, 2, 3, 4, 5, 126, 127])
def test_final_statuses_are_kept_at_once(rig, status):
    one = rig.start(rig.program(f"attempt(); sys.exit({status})"))
    assert one.status() == status
    assert rig.file("attempts") == "x"


def test_status_of_a_crash_is_kept_without_restart(rig):
    one = rig.start(rig.program("sys.exit(7)"), rules=ONE_TRY)
    assert one.status() == 7
    assert "status 7" in one.errors


def test_status_of_a_signal_is_kept_without_restart(rig):
    """PR-16."""
    assert rig.start(["sh", "-c", "kill -SEGV $$"], rules=ONE_TRY).status() == 139


def test_a_good_end_is_silent(rig):
    one = rig.start(["true"])
    assert one.status() == 0
    assert one.errors == ""


def test_restart_after_sigkill(rig):
    one = rig.start(rig.program("attempt() == 1 and os.kill(os.getpid(), 9); say('done')"))
    assert one.status() == 0
    assert one.line() == "done"
    assert "crashed with status 137 (SIGKILL)" in one.errors


def test_gives_up_without_progress(rig):
    """PR-21."""
    one = rig.start(rig.program("attempt(); sys.exit(1)"))
    assert one.status() == 86
    assert rig.file("attempts") == "xxx"
    assert "gave up (86): 3 attempts in a row made no progress" in one.errors


def test_progress_sets_the_count_to_zero(rig):
    """PR-19: crashes at steps 1, 1, 2, 2, 3, 3, never more than one in a row without progress."""
    text = "n = attempt(); put('progress.json', store='/s', attempt=n, step=(n + 1) // 2); sys.exit(n < 7)"
    assert rig.start(rig.program(text), rules={"tries": 2}).status() == 0
    assert rig.file("attempts") == "x" * 7


def test_85_with_progress_starts_again(rig):
    text = "n = attempt(); put('progress.json', store='/s', attempt=n, step=n); sys.exit(85 if n < 5 else 0)"
    one = rig.start(rig.program(text), rules={"tries": 1})
    assert one.status() == 0
    assert rig.file("attempts") == "x" * 5


def test_85_without_further_steps_gives_up(rig):
    text = "n = attempt(); put('progress.json', store='/s', attempt=n, step=10); sys.exit(85)"
    one = rig.start(rig.program(text))
    assert one.status() == 86
    assert rig.file("attempts") == "xxxx", "the first made progress, three did not"


def test_attempts_bound_keeps_the_status(rig):
    one = rig.start(rig.program("attempt(); sys.exit(85)"), rules={"attempts": 2})
    assert one.status() == 85
    assert rig.file("attempts") == "xx"


def test_leave_ends_it_with_85(rig):
    """PR-18."""
    one = rig.start(rig.program("attempt(); put('leave', reason='outlast stop'); sys.exit(85)"))
    assert one.status() == 85
    assert rig.file("attempts") == "x"


@pytest.mark.parametrize("text", ["[]", "nonsense", '{"store": "/s", "step": "9", "attempt": 1}', "[" * 60_000])
def test_nonsense_reports_are_no_progress(rig, text):
    program = f"attempt(); open(os.path.join(control, 'progress.json'), 'w').write({text!r}); sys.exit(1)"
    assert rig.start(rig.program(program), rules={"tries": 2}).status() == 86


def test_time_gives_notice_and_starts_the_next(rig):
    """The batch system's part: told before the deadline, out with 85, next attempt."""
    text = """
n = attempt()
left_s = float(os.environ["OUTLAST_DEADLINE"]) - time.time()
def leave():
    say("stop file", json.load(open(os.path.join(control, "stop")))["reason"])
    sys.exit(85 if n < 2 else 0)
on(signal.SIGTERM, leave)
say("deadline ahead", 0 < left_s <= 1000)
forever()
"""
    one = rig.start(rig.program(text), **THOUSAND)
    for _ in range(2):
        assert one.line() == "deadline ahead True"
        rig.pass_time(one, 600)
        assert one.line() == "stop file its time is over"
    assert one.status() == 0
    assert one.lines() == []
    assert "its time was over (status 85), it made progress: again at once" in one.errors


def test_time_kills_who_ignores_the_notice(rig):
    text = """
if attempt() == 2:
    sys.exit(0)
put("progress.json", store="/s", attempt=1, step=1)
on(signal.SIGTERM, lambda: say("ignored"))
say("ready")
forever()
"""
    one = rig.start(rig.program(text), **THOUSAND)
    assert one.line() == "ready"
    rig.pass_time(one, 600)
    assert one.line() == "ignored"
    rig.pass_time(one, 500)
    assert one.status() == 0
    assert one.lines() == []
    assert "killing it" in one.errors
    assert "status 137 (SIGKILL)" in one.errors


def test_killed_at_every_deadline_without_progress_gives_up(rig):
    deaf = "trap '' TERM; printf x >> attempts; echo $$; exec sleep 600"
    one = rig.start(["sh", "-c", deaf], **THOUSAND)
    for _ in range(3):
        pid = one.line()
        rig.pass_time(one, 600)
        one.await_error(f"asking process {pid} to save and leave")
        rig.pass_time(one, 500)
    assert one.status() == 86
    assert rig.file("attempts") == "xxx"


def test_a_deadline_from_outside_is_kept_and_ends_it(rig):
    """PR-4, PR-17."""
    import time

    text = "attempt(); on(signal.SIGTERM, lambda: sys.exit(85)); say(os.environ['OUTLAST_DEADLINE']); forever()"
    deadline = f"{time.time() + 1000:.3f}"
    one = rig.start(rig.program(text), env={"OUTLAST_DEADLINE": deadline}, **{**THOUSAND, "time_s": 5000.0})
    assert one.line() == deadline
    rig.pass_time(one, 600)
    assert one.status() == 85
    assert rig.file("attempts") == "x"


def test_85_before_a_deadline_from_outside_is_for_the_next_job(rig):
    one = rig.start(rig.program("attempt(); sys.exit(85)"), env={"OUTLAST_DEADLINE": "99999999999"})
    assert one.status() == 85
    assert rig.file("attempts") == "x"


@pytest.mark.parametrize("given", ["soon", "1000", "nan"])
def test_a_senseless_deadline_is_named_and_not_passed_on(rig, given):
    text = "say(os.environ.get('OUTLAST_DEADLINE'))"
    one = rig.start(rig.program(text), env={"OUTLAST_DEADLINE": given})
    assert one.status() == 0
    assert one.line() == "None"
    assert f"OUTLAST_DEADLINE='{given}'" in one.errors


def test_json_events(rig):
    one = rig.start(rig.program("sys.exit(attempt() == 1)"), json=True)
    assert one.status() == 0
    assert [e["event"] for e in one.events] == ["start", "end", "restart", "start", "end", "finish"]
    assert one.events[1]["status"] == 1
    assert one.events[1]["progress"] is False
    assert "crashed with status 1" in one.events[2]["reason"]
    assert one.events[-1]["status"] == 0
