"""What goes wrong with applications: kills, torn sets, stale stop files, wrong done tests, foreign state."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest

import outlast
from recipes.kit import DONE, STATE, STEPS, recipe
from recipes.test_fakes import begin, rows, undisturbed

assert begin  # a fixture


def checkpoint(tmp_path: Path) -> Path:
    """The folder of the newest checkpoint's files."""
    newest = outlast.Store(tmp_path / "store").checkpoints()[0]
    return tmp_path / "store" / newest.format()


def committed(said: str) -> int:
    return said.count("committed step")


@pytest.mark.parametrize("seed", [1])
def test_kills_at_random_lose_nothing(tmp_path: Path, begin, seed):
    """Its own files are written in place here, so that a kill tears them: they are never gone on from."""
    draw = random.Random(seed)
    path = recipe(tmp_path, "periodic")
    for _ in range(3):
        one = begin("periodic", path, "--in-place", "--slow", "0.01")
        one.await_line("committed step", draw.randint(1, 3))
        one.kill()
    (tmp_path / "fast").touch()
    last = begin("periodic", path)
    assert last.end() == 0, last.said
    assert "torn" not in last.said
    assert ((tmp_path / "sim.result").read_text(), rows(tmp_path)) == undisturbed(tmp_path)


def test_a_stale_stop_file_does_not_end_the_next_start(tmp_path: Path, begin):
    path = recipe(tmp_path, "file")
    one = begin("file", path, "--leave-stop")
    one.await_line("committed step 1")
    one.await_output(tmp_path, "begins at")
    assert one.notice() == 85
    assert not (tmp_path / "sim.EXIT").exists()
    (tmp_path / "sim.EXIT").touch()
    (tmp_path / "fast").touch()
    two = begin("file", path)
    assert two.end() == 0, two.said
    assert "removed sim.EXIT" in two.said
    assert (tmp_path / "said").read_text().count("stopped") == 1


def test_what_dies_in_its_write_is_not_taken(tmp_path: Path, begin):
    path = recipe(tmp_path, "signal")
    (tmp_path / "die").touch()
    one = begin("signal", path, "--die-in-write", "--in-place", options=("--tries", "1"))
    one.await_output(tmp_path, "begins at")
    assert one.notice() == 128 + 9, one.said
    assert "what it left is not taken" in one.said
    (tmp_path / "die").unlink()
    (tmp_path / "fast").touch()
    two = begin("signal", path)
    assert two.end() == 0, two.said
    assert "put aside in outlast-aside: sim.more, sim.state" in two.said
    assert "starting from the beginning" in two.said
    assert (tmp_path / "outlast-aside" / "sim.more").exists()


def test_files_of_two_steps_are_no_checkpoint(tmp_path: Path, begin):
    path = recipe(tmp_path, "file", state=STATE.replace("[state]", "[state]\noptional = []"))
    one = begin("file", path, options=("--tries", "1"))
    one.await_line("committed step 1")
    one.await_output(tmp_path, "begins at")
    for name, step in (("sim.state", 7), ("sim.more", 8)):
        (tmp_path / name).write_text(f'{{"step": {step}}}\nEND\n')
    one.await_line("they do not belong together: sim.state is of step 7, sim.more is of step 8", most=1)
    assert one.notice() == 85  # it writes both anew
    assert committed(one.said) == 2


def test_a_wrong_done_test_does_not_go_on_for_ever(tmp_path: Path, begin):
    path = recipe(tmp_path, "periodic", done=DONE.replace("result", "never"))
    (tmp_path / "fast").touch()
    one = begin("periodic", path, steps=50, options=("--tries", "2"))
    assert one.end() in (1, 86), one.said
    assert "is not finished: sim.never does not exist" in one.said
    assert "done" not in one.said.split("attempt")[-1]


def test_an_early_end_without_change_is_no_progress(tmp_path: Path, begin):
    """It may leave early, and its done test is wrong: it is given up once nothing changes any more."""
    path = recipe(tmp_path, "file", done=DONE.replace("result", "never"), more="ends_early = true\n")
    (tmp_path / "fast").touch()
    one = begin("file", path, steps=50, options=("--tries", "2"))
    one.await_line("gave up", most=2)  # that it began (which may be superseded at once), and what it left
    assert one.end() == 86, one.said


def test_state_that_we_did_not_save_is_refused(tmp_path: Path, begin):
    path = recipe(tmp_path, "periodic")
    for name in ("sim.state", "sim.more"):
        (tmp_path / name).write_text('{"step": 40, "x": 5}\nEND\n')
    one = begin("periodic", path)
    assert one.end() == 2
    assert "state that outlast did not save: sim.state, sim.more" in one.said
    (tmp_path / "fast").touch()
    two = begin("periodic", path, steps=60, OUTLAST_ADOPT="1")
    assert two.end() == 0, two.said
    assert "begins at 40" in (tmp_path / "said").read_text()


def test_what_looks_finished_before_it_began_is_refused(tmp_path: Path, begin):
    (tmp_path / "sim.result").touch()
    one = begin("periodic", recipe(tmp_path, "periodic"))
    assert one.end() == 2
    assert "looks finished before it began: sim.result exists" in one.said


def test_a_name_is_no_pattern_and_the_users_modules_are_not_ours(tmp_path: Path, begin):
    """The job's name has brackets, and beside its files lies one called as a module that we import ourselves."""
    path = Path(recipe(tmp_path, "file"))
    path.write_text(path.read_text().replace('default = "sim"', 'default = "s[1]"'))
    (tmp_path / "dataclasses.py").write_text("raise SystemExit('not to be imported')\n")
    for name in ("s[1].EXIT", "fast"):
        (tmp_path / name).touch()
    one = begin("file", str(path), name="s[1]", steps=50)
    assert one.end() == 0, one.said
    assert "removed s[1].EXIT" in one.said
    kept = (tmp_path / "store").rglob("s[[]1].state")
    assert [json.loads(one.read_text().splitlines()[0])["step"] for one in kept] == [50]


def test_finished_but_killed_before_it_could_be_said(tmp_path: Path, begin):
    path = recipe(tmp_path, "periodic")
    one = begin("periodic", path)
    one.await_line("committed step 1")
    one.kill()
    (tmp_path / "sim.result").write_text("x")
    two = begin("periodic", path)
    assert two.end() == 0
    assert "is finished: sim.result exists" in two.said


def test_lost_files_come_back_and_newer_ones_are_put_aside(tmp_path: Path, begin):
    path = recipe(tmp_path, "signal")
    one = begin("signal", path)
    one.await_output(tmp_path, "begins at")
    assert one.notice() == 85
    about = json.loads((next((checkpoint(tmp_path)).rglob("recipe.json"))).read_text())
    kept = (tmp_path / "sim.state").read_text()
    (tmp_path / "sim.more").unlink()
    (tmp_path / "sim.state").write_text('{"step": 1000000}')
    os.utime(tmp_path / "sim.state")
    (tmp_path / "fast").touch()
    two = begin("signal", path)
    assert two.end() == 0, two.said
    assert (tmp_path / "outlast-aside" / "sim.state").read_text() == '{"step": 1000000}'
    assert f"begins at {about['step']}\n" in (tmp_path / "said").read_text()
    assert json.loads(kept.splitlines()[0])["step"] == int(about["step"])
    assert (tmp_path / "sim.result").read_text() == undisturbed(tmp_path, STEPS)[0]
