"""status: what the files alone tell of a run, its attempts, and the work that was lost."""

import fcntl
import json
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import termios

import pytest

import outlast
from cli.kit import arrays, flip, names, snapshot, train
from outlast.backends import Posix
from outlast.backends.posix import Posix as Storage
from outlast.cli import overview
from outlast.clock import SYSTEM
from outlast.format.jobs import JobName
from outlast.store import JobJournal
from outlast.testing import CountedCalls, FakeClock
from storekit import Attempt

KEYS = {
    "store", "state", "reason", "live", "newest", "checkpoints", "progress", "saved", "steps_per_s", "deadline",
    "remaining_s", "expected_end", "jobs_to_come", "steps_lost", "lost_s", "attempts", "jobs", "quarantined",
}  # fmt: skip
ATTEMPT_KEYS = {
    "attempt", "role", "host", "pid", "job", "placing", "partition", "began", "ended", "lasted_s", "from_step",
    "to_step", "saves", "steps_lost", "lost_s", "outcome", "ending", "how", "status", "tail", "damaged_lines",
}  # fmt: skip


def brief(attempt):
    return tuple(attempt[key] for key in ("from_step", "to_step", "saves", "steps_lost", "outcome"))


def test_done(call, trained):
    found = call("status", trained, "--json").json
    assert found.keys() == KEYS
    assert (found["state"], found["live"], found["checkpoints"], found["steps_lost"]) == ("done", None, 4, 0)
    newest = found["newest"]
    assert newest.keys() == {"checkpoint", "step", "created", "done", "metrics"}
    assert (newest["checkpoint"], newest["step"], newest["done"]) == (names(trained)[0], 3, True)
    (attempt,) = found["attempts"]
    assert attempt.keys() == ATTEMPT_KEYS
    assert brief(attempt) == (0, 3, 4, 0, "done")
    lines = call("status", trained).lines
    assert lines[0] == f"{trained}: done"
    assert lines[1].startswith(f"newest checkpoint: {names(trained)[0]} (step 3), 20")
    assert lines[2:4] == ["metrics: loss=0.333333, acc=2", "steps known to be lost: 0"]
    assert lines[5].split()[2:] == ["0", "->", "3", "4", "0", "done"]


def test_preempted_and_gone_on(call, tmp_path):
    """Nothing is lost at a notice; the next attempt begins where the first one ended."""
    path = tmp_path / "store"
    with pytest.raises(outlast.Preempted):
        train(path, arrays(), steps=6, every=100, stop_at=3)
    found = call("status", path, "--json").json
    assert (found["state"], found["newest"]["step"]) == ("waiting to be started again", 4)
    assert brief(found["attempts"][0]) == (0, 4, 1, 0, "preempted: as asked")
    train(path, arrays(), steps=6, every=100)
    found = call("status", path, "--json").json
    assert [brief(a) for a in found["attempts"]] == [
        (0, 4, 1, 0, "preempted: as asked"),
        (4, 6, 1, 0, "done"),
    ]


def test_killed(call, killed):
    """It was seen at step 9 and had saved step 5: 4 steps are lost."""
    found = call("status", killed, "--json").json
    assert (found["state"], found["live"], found["steps_lost"]) == ("waiting to be started again", None, 4)
    assert brief(found["attempts"][0]) == (0, 5, 2, 4, "killed or crashed")
    assert found["attempts"][0]["ended"] is None
    lines = call("status", killed).lines
    assert "steps known to be lost: 4" in lines
    assert lines[-1].split()[2:] == ["0", "->", "5", "2", "4", "killed", "or", "crashed"]


def test_an_error(call, tmp_path):
    state = arrays()

    def fail():
        with outlast.Run(tmp_path / "store", state, every=2) as run:
            for step in run.steps(10):
                if step == 7:
                    raise ValueError("as asked")

    with pytest.raises(ValueError, match="as asked"):
        fail()
    found = call("status", tmp_path / "store", "--json").json
    assert brief(found["attempts"][0]) == (0, 6, 3, 1, "failed (ValueError)")
    assert found["steps_lost"] == 1


def test_live(call, plain):
    attempt = Attempt.begin(plain)
    found = call("status", plain, "--json").json
    assert found["state"] == "running"
    assert found["live"].keys() == {"host", "boot", "pid", "start", "pid_space", "job", "restart"}
    assert [a["outcome"] for a in found["attempts"]] == ["failed", "running"]
    live = found["live"]
    assert f"running: process {live['pid']} on {live['host']}" in call("status", plain).out
    attempt.lease.end("preempted", reason="over")
    found = call("status", plain, "--json").json
    assert (found["state"], found["live"]) == ("waiting to be started again", None)


def test_a_run_under_way_has_lost_nothing(call, plain):
    attempt = Attempt.begin(plain)
    attempt.lease.journal.record("restored", step=3)
    attempt.lease.journal.record("metrics", sync=False, rows=[[8, {"loss": 1.0}]])
    found = call("status", plain, "--json").json
    assert (found["attempts"][-1]["steps_lost"], found["attempts"][-1]["from_step"]) == (0, 3)
    attempt.lease.end("failed")
    assert call("status", plain, "--json").json["attempts"][-1]["steps_lost"] == 5


def test_a_prune_is_an_attempt_that_loses_nothing(call, killed):
    assert call("prune", killed).status == 0
    found = call("status", killed, "--json").json
    assert [(a["role"], a["outcome"], a["steps_lost"]) for a in found["attempts"]] == [
        ("run", "killed or crashed", 4),
        ("prune", "pruned", 0),
    ]


def test_nothing_saved_yet(call, tmp_path):
    attempt = Attempt.begin(tmp_path / "store")
    attempt.lease.end("failed")
    found = call("status", tmp_path / "store", "--json")
    assert (found.status, found.json["state"], found.json["newest"]) == (0, "nothing saved", None)
    assert call("status", tmp_path / "store").lines[0] == f"{tmp_path / 'store'}: nothing saved"


def test_a_damaged_newest_checkpoint_is_said(call, plain):
    flip(plain / "step-000000003.a0001" / "manifest.json", 100)
    found = call("status", plain, "--json")
    assert found.status == 0
    assert found.json["newest"].keys() == {"checkpoint", "step", "problem", "done"}
    assert "step-000000003.a0001/manifest.json" in call("status", plain).lines[1]


def test_damaged_journal_lines_are_counted(call, plain):
    flip(plain / "journal" / "a0001.jsonl", 30)
    assert call("status", plain, "--json").json["attempts"][0]["damaged_lines"] == 1


def test_the_quarantine_is_named(call, plain):
    (plain / "quarantine" / "step-000000002.a0001-abc").mkdir(parents=True)
    assert "in quarantine: step-000000002.a0001-abc" in call("status", plain).lines


# -- progress, and what the record of a job adds ----------------------------------------------------------------


def placed(path, number, *, restarts=0, after_s=60, **fields):
    """The record of a job that was placed long after whatever the store tells of."""
    clock = FakeClock(epoch_s=SYSTEM.wall() + after_s)
    record = JobJournal.begin(Posix(path), JobName.of("slurm", number, restarts=restarts), clock=clock)
    record.record("placed", **{"system": "slurm", "job": number, "host": os.uname().nodename, **fields})
    return record


def test_how_far_it_is_and_what_is_still_needed(call, tmp_path):
    with pytest.raises(outlast.Preempted):
        train(tmp_path / "s", arrays(), steps=40, every=1, stop_at=9)
    found = call("status", tmp_path / "s", "--json").json
    assert found["progress"] == {
        "step": 10, "steps_total": 40, "share": 0.25, "loops": [{"name": "step", "done": 10, "total": 40}],
    }  # fmt: skip
    assert found["saved"]["step"] == 10
    assert found["remaining_s"] == pytest.approx(30 / found["steps_per_s"])
    assert (found["expected_end"], found["deadline"], found["jobs_to_come"]) == (None, None, None)
    lines = call("status", tmp_path / "s").lines
    assert "progress: 25 % of about 40 steps (step 10 of 40)" in lines
    assert any(line.startswith("still needed: about ") for line in lines)


def test_a_crash_with_the_last_lines_of_its_output(call, killed):
    record = placed(killed, "7", partition="normal")
    record.record("start", attempt=1)
    record.record("end", status=1, tail=["Traceback:", "ValueError: \x1b[31mred"])
    record.record("decision", what="give-up", reason="3 attempts in a row made no progress")
    found = call("status", killed, "--json").json
    assert (found["state"], found["reason"]) == ("gave up", "3 attempts in a row made no progress")
    attempt = found["attempts"][-1]
    assert (attempt["attempt"], attempt["placing"], attempt["partition"]) == (None, "slurm-7.r0", "normal")
    assert (attempt["ending"], attempt["status"]) == ("crashed", 1)
    assert attempt["tail"] == ["Traceback:", "ValueError: \x1b[31mred"]
    assert [(job["name"], job["job"], job["deadline"]) for job in found["jobs"]] == [("slurm-7.r0", "7", None)]
    lines = call("status", killed).lines
    assert lines[0] == f"{killed}: gave up, 3 attempts in a row made no progress"
    assert lines[-3:] == [
        f"last lines of an attempt that never opened the store ({attempt['how']}):",
        "  Traceback:",
        "  ValueError: \\x1b[31mred",
    ]
    assert any("slurm-7.r0" in line and line.startswith("-") for line in lines)


def test_the_last_lines_are_read_where_they_were_printed(call, killed):
    output = killed / "jobs" / "slurm-7.out"
    record = placed(killed, "7", output=str(output))
    output.write_text("of the attempt before\n" + "0 %\r50 %\rKeyError: 'x'\n\n" + "of the attempt after\n")
    record.record("start", attempt=1)
    record.record("end", status=1, printed_bytes=22)
    record.record("start", attempt=2)
    record.record("end", status=1, printed_bytes=46)
    found = call("status", killed, "--json").json
    assert [one["tail"] for one in found["attempts"]] == [[], ["of the attempt before"], ["KeyError: 'x'"]]
    assert call("status", killed).lines[-1] == "  KeyError: 'x'"
    attempt = Attempt.begin(killed)
    attempt.commit(12, done=True)
    attempt.lease.end("done")
    assert "  KeyError: 'x'" not in call("status", killed).lines  # it has got over it
    output.write_text("somebody's")
    tails = [one["tail"] for one in call("status", killed, "--json").json["attempts"]]
    output.unlink()
    os.mkfifo(output)
    assert tails == [one["tail"] for one in call("status", killed, "--json").json["attempts"]] == [[]] * 4


@pytest.mark.parametrize(
    ("decision", "reason"),
    [({"what": "requeue", "reason": "put back"}, "put back"),
     ({"what": "successor", "successor": "8"}, "job 8")],
)  # fmt: skip
def test_between_two_jobs(call, killed, decision, reason):
    record = placed(killed, "7")
    record.record("start", attempt=1)
    record.record("end", status=85, cause="outside")
    record.record("decision", **decision)
    found = call("status", killed, "--json").json
    assert (found["state"], found["reason"]) == ("waiting for its next job", reason)


def test_the_deadline_and_the_end_of_a_live_one(call, tmp_path):
    record = placed(tmp_path / "s", "7", after_s=0, deadline=SYSTEM.wall() + 7200, total_s=90_000.0)
    record.record("start", attempt=1)
    attempt = Attempt.begin(tmp_path / "s")
    attempt.lease.journal.record("started", step=0)
    attempt.save(10)
    found = call("status", tmp_path / "s", "--json").json
    assert (found["state"], found["deadline"]) == ("running", found["jobs"][0]["deadline"])
    assert found["expected_end"] > found["deadline"]
    assert found["jobs_to_come"] > 0
    text = call("status", tmp_path / "s").out
    assert f"next deadline: {found['deadline']} (in " in text
    assert "of running, after " in text
    attempt.lease.end("failed")


def test_a_job_that_was_submitted_and_has_not_begun(call, tmp_path):
    (tmp_path / "s" / "jobs").mkdir(parents=True)
    found = call("status", tmp_path / "s", "--json")
    assert (found.status, found.json["state"], found.json.keys()) == (0, "not begun", KEYS)
    assert call("status", tmp_path / "s").lines[0] == f"{tmp_path / 's'}: not begun"
    record = placed(tmp_path / "s", "7")
    record.record("start", attempt=1)
    record.record("end", status=127, tail=["sh: 1: tarin.py: not found"])
    found = call("status", tmp_path / "s", "--json").json
    assert (found["state"], found["attempts"][0]["how"]) == ("nothing saved", "crashed with status 127")
    assert call("status", tmp_path / "s").lines[-1] == "  sh: 1: tarin.py: not found"


def test_what_is_no_store_and_holds_none_is_an_error(call, tmp_path):
    (tmp_path / "empty").mkdir()
    for path in (tmp_path, tmp_path / "nothing"):
        found = call("status", path)
        assert (found.status, found.out) == (4, "")
        assert "store" in found.err


# -- a directory of runs ---------------------------------------------------------------------------------------


@pytest.fixture
def sweep(tmp_path, trained, killed, plain):
    """Runs 1 (done), 2 and 10 (killed), and one in a group."""
    path = tmp_path / "sweep"
    shutil.copytree(trained, path / "1")
    for name in ("10", "2"):
        shutil.copytree(killed, path / name)
    shutil.copytree(plain, path / "more" / "a")
    return path


def test_all_runs_below_a_directory(call, sweep):
    found = call("status", sweep, "--json").json
    assert [(one["run"], one["state"], one["attempts"], one["steps_lost"]) for one in found["runs"]] == [
        ("1", "done", 1, 0),
        ("2", "waiting to be started again", 1, 4),
        ("10", "waiting to be started again", 1, 4),
        ("more/a", "waiting to be started again", 1, 0),
    ]
    assert [one["progress"]["share"] for one in found["runs"]] == [1.0, None, None, None]
    assert [one["ending"] for one in found["runs"]] == ["done", "killed", "killed", "crashed"]
    totals = found["totals"]
    assert (totals["runs"], totals["attempts"], totals["steps_lost"]) == (4, 4, 8)
    assert totals["states"] == {"waiting to be started again": 3, "done": 1}
    lines = call("status", sweep).lines
    assert [line.split()[0] for line in lines[1:5]] == ["1", "2", "10", "more/a"]
    assert lines[1].split()[1:4] == ["done", "3", "100"]
    assert lines[2].endswith("killed or crashed")
    assert lines[5].startswith("4 runs: 3 waiting to be started again, 1 done; 4 attempts; known to be lost: 8 steps")


def test_a_run_that_cannot_be_read_does_not_hide_the_others(call, sweep):
    from outlast.format.envelope import seal

    newer = {"format": "outlast-store", "version": 2, "store": "0" * 32}
    (sweep / "2" / "outlast.json").write_bytes(seal(newer))
    found = call("status", sweep, "--json")
    assert found.status == 0
    assert [one["state"] for one in found.json["runs"]][1] == "cannot be read"
    assert "store format 2" in call("status", sweep).lines[2]


def test_a_hundred_runs_are_read_with_few_looks(sweep, monkeypatch):
    """What it costs is opening files: so many for a run, whatever its journals and checkpoints hold."""
    for number in range(100):
        shutil.copytree(sweep / "10", sweep / "array" / str(number))
    calls = CountedCalls()
    found = overview.document(Storage(sweep / "array"), calls=calls)
    assert found["totals"]["runs"] == 100
    assert calls.counts["read"] <= 100 * 3  # outlast.json, one journal, the end of one manifest
    assert calls.counts["list"] <= 100 * 2  # journals, jobs; what there is was listed before


# -- watching ---------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    clock = FakeClock(epoch_s=SYSTEM.wall())
    monkeypatch.setattr("outlast.cli.watching.SYSTEM", clock)
    return clock


def test_watching_ends_when_all_is_done(call, trained, clock):
    found = call("status", trained, "--watch")
    assert (found.status, clock.slept_s) == (0, [])
    assert found.lines[0] == f"{trained}: done"


def test_watching_looks_again_until_it_is_done(call, killed, clock, monkeypatch):
    """Where no terminal is, one look stands below the other."""
    looks = iter(range(3))

    def sleep(seconds_s):
        clock.slept_s.append(seconds_s)
        if next(looks) == 1:
            attempt = Attempt.begin(killed)
            attempt.commit(12, done=True)
            attempt.lease.end("done")

    monkeypatch.setattr(FakeClock, "sleep", lambda _self, seconds_s: sleep(seconds_s))
    found = call("status", killed, "--watch", "90s")
    assert (found.status, clock.slept_s) == (0, [90, 90])
    heads = [line for line in found.lines if line.startswith(f"{killed}: ")]
    assert [head.rpartition(": ")[2] for head in heads] == ["waiting to be started again"] * 2 + ["done"]
    assert "\x1b" not in found.out


def test_watching_a_directory_as_json_lines(call, sweep, clock, monkeypatch):
    def stop(_self, _seconds_s):
        raise KeyboardInterrupt

    monkeypatch.setattr(FakeClock, "sleep", stop)
    found = call("status", "--watch", "1s", "--json", sweep)
    assert found.status == 0
    (line,) = found.lines
    assert json.loads(line)["totals"]["runs"] == 4


@pytest.mark.parametrize(("arguments", "status"), [(["--watch"], 0), (["--watch", "2s"], 0), (["--watch=0"], 2)])
def test_the_store_may_stand_behind_the_option(call, trained, clock, arguments, status):
    assert call("status", trained, *arguments).status == status
    assert call("status", *arguments, trained).status == status


def test_a_wrong_time_is_a_usage_error(call, trained):
    found = call("status", trained, "--watch", "soon")
    assert (found.status, found.out) == (2, "")
    assert "'soon' is not a duration" in found.err


def test_at_a_terminal_it_is_refreshed_in_place_and_interrupted_with_0(killed):
    """A real terminal of 60 columns and 5 lines: what does not fit is cut off, or going up would miss its beginning."""
    mine, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 5, 60, 0, 0))
    command = [sys.executable, "-m", "outlast", "status", str(killed), "--watch", "10ms"]
    env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    shown = b""
    while shown.count(b"\x1b[4F\x1b[J") < 3:
        shown += os.read(mine, 65536)
    process.send_signal(signal.SIGINT)
    while process.poll() is None:
        try:
            shown += os.read(mine, 65536)
        except OSError:
            break
    assert process.wait() == 0, shown
    os.close(mine)
    looks = shown.replace(b"\r", b"").split(b"\x1b[4F\x1b[J")
    assert looks[0].startswith(b"\x1b[J" + os.fsencode(killed)[:20])
    assert [len(look.splitlines()) for look in looks[:3]] == [4, 4, 4]
    assert max(len(line) for look in looks[1:3] for line in look.splitlines()) <= 59
    assert b"Traceback" not in shown


# -- stop and save: what they do with a live run is in tests/run ---------------------------------------------


@pytest.mark.parametrize("verb", ["stop", "save"])
def test_a_request_needs_a_live_run(call, plain, verb):
    before = snapshot(plain)
    found = call(verb, plain)
    assert found.status == 4
    assert f"no run is alive on {plain}" in found.err
    assert call(verb, plain, "--json").json["error"] == "nothing"
    assert snapshot(plain) == before


@pytest.mark.parametrize("verb", ["stop", "save"])
def test_a_request_is_left_in_the_store(call, plain, verb):
    attempt = Attempt.begin(plain)
    found = call(verb, plain, "--json").json
    assert found == {"store": str(plain), "request": verb, "met": None, "newest": "step-000000003.a0001"}
    (request,) = attempt.store.requests()
    assert (request.kind, request.reason) == (verb, f"outlast {verb}")
    wish = {"stop": "save and leave", "save": "save"}[verb]
    assert call(verb, plain).lines == [f"asked the run on {plain} to {wish} at its next step"]


@pytest.mark.parametrize("verb", ["stop", "save"])
@pytest.mark.parametrize("time", ["soon", "-1s"])
def test_a_wrong_wait_is_refused_before_anything_is_asked(call, plain, verb, time):
    attempt = Attempt.begin(plain)
    assert call(verb, plain, f"--wait={time}").status == 2
    assert attempt.store.requests() == ()


@pytest.mark.parametrize("verb", ["stop", "save"])
def test_a_wait_in_vain_is_status_1(call, plain, verb):
    attempt = Attempt.begin(plain)  # it listens to nobody
    found = call(verb, plain, "--wait", "10ms", "--json")
    assert (found.status, found.json["met"]) == (1, False)
    assert call(verb, plain, "--wait", "10ms").lines == [
        "not done within the time; newest checkpoint: step-000000003.a0001"
    ]
    attempt.lease.end("failed")


# -- demo --------------------------------------------------------------------------------------------------


def test_demo(call):
    """The director's story, with NumPy: the same in the end, bit for bit."""
    found = call("demo", "--backend", "numpy", "--json")
    assert found.status == 0, found.err
    document = json.loads(found.out)
    assert document.keys() == {"identical", "differing", "scenes", "seconds"}
    assert (document["identical"], document["differing"]) == (True, [])
    assert [scene["ended"] for scene in document["scenes"]] == [
        "exit status 0",
        "killed by SIGKILL",
        "killed by SIGKILL",
        "exit status 85 (saved, run me again)",
        "exit status 0",
        "exit status 0",
    ]
    assert document["scenes"][0]["to_step"] == document["scenes"][-1]["to_step"] > 0


def test_demo_with_a_backend_that_is_not(call):
    assert call("demo", "--backend", "abacus").status == 2
