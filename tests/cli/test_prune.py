"""prune: what goes and why, a dry run, and when nothing may go."""

import shutil

import pytest

import storekit
from cli.kit import flip, names, snapshot
from outlast.store import Store
from storekit import Attempt

STEPS = ["step-000000003.a0001", "step-000000002.a0001", "step-000000001.a0001"]


def checkpoints_of(path):
    return {name: data for name, data in snapshot(path).items() if name.startswith("step-")}


def test_keep(call, plain):
    found = call("prune", plain, "--keep", "1")
    assert found.status == 0
    rows = {line.split()[0]: line.split()[3:] for line in found.lines[1:]}
    assert rows[STEPS[0]] == ["kept", "among", "the", "newest", "1"]
    assert rows[STEPS[2]] == ["removed", "not", "kept", "by", "newest", "1"]
    assert names(plain) == STEPS[:1]
    assert {name.split("/")[0] for name in checkpoints_of(plain)} == {STEPS[0]}
    assert storekit.newest(plain) == 3


def test_json(call, plain):
    found = call("prune", plain, "--keep", "2", "--json").json
    assert found.keys() == {"store", "dry_run", "checkpoints", "quarantined"}
    assert (found["store"], found["dry_run"]) == (str(plain), False)
    assert all(row.keys() == {"checkpoint", "bytes", "removed", "reason"} for row in found["checkpoints"])
    assert [(row["checkpoint"], row["removed"]) for row in found["checkpoints"]] == [
        (STEPS[0], False),
        (STEPS[1], False),
        (STEPS[2], True),
    ]


@pytest.mark.parametrize("option", ["-n", "--dry-run"])
def test_a_dry_run_removes_nothing_and_says_what_would_go(call, plain, option):
    before = snapshot(plain)
    told = call("prune", plain, "--keep", "1", option, "--json").json
    assert told["dry_run"] is True
    assert "would go" in call("prune", plain, "--keep", "1", option).out
    assert snapshot(plain) == before
    assert call("prune", plain, "--keep", "1", "--json").json["checkpoints"] == told["checkpoints"]


def test_three_are_kept_unless_told_otherwise(call, plain):
    attempt = Attempt.begin(plain)
    attempt.save(4)
    attempt.lease.end("failed")
    assert call("prune", plain).status == 0
    assert names(plain) == ["step-000000004.a0002", *STEPS[:2]]


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (["--best", "loss"], [STEPS[0], STEPS[1]]),  # 0.75 at step 2 is the highest
        (["--best=-loss"], [STEPS[0], STEPS[2]]),
        (["--every", "2"], [STEPS[0], STEPS[1]]),
        (["--every", "1"], STEPS),
        (["--every", "1", "--bytes", "1B"], STEPS[:1]),
        (["--every", "1", "--bytes", "450KiB"], STEPS[:2]),  # each has some 190 KiB
        (["--every", "1", "--files", "4"], STEPS[:2]),
    ],
)
def test_rules(call, plain, options, left):
    found = call("prune", plain, "--keep", "1", *options)
    assert found.status == 0, found.err
    assert names(plain) == left


def test_what_is_left_is_whole(call, tmp_path):
    """Parts that a later checkpoint shares stay with it."""
    attempt = Attempt.begin(tmp_path / "shared", lean=5)
    for step in (1, 2, 3):
        attempt.save(step)
    attempt.lease.end("failed")
    assert call("prune", tmp_path / "shared", "--keep", "1").status == 0
    assert storekit.counted_steps(tmp_path / "shared") == [3]
    assert call("verify", tmp_path / "shared").status == 0


def test_a_live_run_is_left_alone(call, plain):
    attempt = Attempt.begin(plain)
    before = snapshot(plain)
    found = call("prune", plain, "--keep", "1")
    assert found.status == 5
    assert "attempt 2 of this run still lives" in found.err
    assert snapshot(plain) == before
    assert call("prune", plain, "--keep", "1", "--json").json["error"] == "busy"
    assert call("prune", plain, "--keep", "1", "-n").status == 0
    attempt.lease.end("failed")
    assert call("prune", plain, "--keep", "1").status == 0


def test_an_attempt_after_a_prune_goes_on(call, plain):
    assert call("prune", plain, "--keep", "1").status == 0
    attempt = Attempt.begin(plain)
    assert attempt.restore() == 3
    attempt.save(4)
    assert names(plain)[0] == "step-000000004.a0003"


@pytest.mark.parametrize("which", STEPS)
@pytest.mark.parametrize("form", [[], ["-n"]], ids=["real", "dry"])
def test_nothing_goes_while_a_manifest_is_unreadable(call, plain, which, form):
    flip(plain / which / "manifest.json", 100)
    before = checkpoints_of(plain)
    found = call("prune", plain, "--keep", "1", *form)
    assert found.status == 3
    assert f"{which}/manifest.json" in found.err
    assert checkpoints_of(plain) == before


def test_a_prune_that_failed_is_recorded_as_such(call, plain):
    flip(plain / STEPS[1] / "manifest.json", 100)
    call("prune", plain)
    assert Store(plain).attempts()[-1].last("ended")["outcome"] == "failed"
    assert Store(plain).live() is None


@pytest.mark.parametrize(
    "options",
    [
        ["--keep", "0"],
        ["--keep", "-1"],
        ["--keep", "x"],
        ["--every", "0"],
        ["--bytes", "much"],
        ["--bytes", "-1"],
        ["--files", "-1"],
    ],
)
def test_wrong_rules_are_status_2(call, plain, options):
    before = snapshot(plain)
    assert call("prune", plain, *options).status == 2
    assert snapshot(plain) == before


def test_no_store_is_made(call, tmp_path):
    assert call("prune", tmp_path / "none").status == 4
    assert not (tmp_path / "none").exists()


def test_the_help_tells_how_to_ask_for_the_lowest(call):
    assert "--best=-METRIC" in call("prune", "--help").out


def test_damaged_manifests_are_set_aside_when_asked(call, plain):
    flip(plain / STEPS[1] / "manifest.json", 30)
    assert call("prune", plain, "--keep", "1").status == 3
    assert names(plain) == STEPS
    found = call("prune", plain, "--keep", "1", "--quarantine")
    assert found.status == 0, found.err
    assert f"{STEPS[1]}: its manifest is damaged; moved to quarantine" in found.out
    assert names(plain) == STEPS[:1]
    moved = sorted(p.name for p in (plain / "quarantine").rglob("*") if p.is_file())
    assert moved == ["manifest.json", "part-00000.safetensors"]


def test_the_newest_good_one_stays_though_the_newest_is_damaged(call, plain):
    part = plain / STEPS[0] / "part-00000.safetensors"
    flip(part, part.stat().st_size - 1)
    dry = call("prune", plain, "--keep", "1", "-n", "--json").json["checkpoints"]
    assert [(row["removed"], row["reason"]) for row in dry[:2]] == [
        (False, "among the newest 1"),
        (False, "the last good one"),
    ]
    assert call("prune", plain, "--keep", "1").status == 0
    assert names(plain) == STEPS[:2]
    assert storekit.newest(plain) == 2


def test_a_metric_that_no_checkpoint_has_is_refused(call, plain):
    found = call("prune", plain, "--keep", "1", "--best", "los")
    assert found.status == 2
    assert "no checkpoint has the metric 'los'" in found.err
    assert "there are: loss" in found.err
    assert names(plain) == STEPS


def test_without_journals_it_begins_new_ones(call, plain):
    shutil.rmtree(plain / "journal")
    assert call("prune", plain, "--keep", "1").status == 0
    assert names(plain) == STEPS[:1]


def test_what_does_not_count_is_named_before_it_goes(call, plain):
    """A backup of a checkpoint, copied back when a later attempt had taken stock."""
    shutil.copytree(plain / STEPS[1], plain.parent / "backup")
    assert call("prune", plain, "--keep", "1").status == 0
    Attempt.begin(plain).lease.end("failed")
    shutil.copytree(plain.parent / "backup", plain / STEPS[1])
    assert names(plain) == STEPS[:1]
    for options, told in ((["-n"], "would go"), ([], "removed")):
        found = call("prune", plain, *options)
        assert any(line.startswith(STEPS[1]) and told in line and "does not count" in line for line in found.lines), (
            found.out
        )
    assert not (plain / STEPS[1]).exists()
