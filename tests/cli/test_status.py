"""status: what the files alone tell of a run, its attempts, and the work that was lost."""

import json

import pytest

import outlast
from cli.kit import arrays, flip, names, snapshot, train
from storekit import Attempt

KEYS = {"store", "state", "live", "newest", "checkpoints", "steps_lost", "attempts", "quarantined"}
ATTEMPT_KEYS = {
    "attempt", "role", "host", "pid", "job", "began", "ended", "from_step", "to_step", "saves", "steps_lost",
    "outcome", "damaged_lines",
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
