"""The four ways in which applications are asked, each by a fake of one: stopped, restarted, as if undisturbed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from recipes.kit import OPTIONS, STEPS, Started, fake, recipe

WAYS = sorted(OPTIONS)


@pytest.fixture
def begin(tmp_path: Path):
    """Start the fake in the test's folder; what still runs at the end is killed."""
    started = []
    program = fake(tmp_path)

    def begin(how, path, *more, name="sim", steps=STEPS, options=("--tries", "3"), **env):
        started.append(Started(tmp_path, path, [program, name, str(steps), *OPTIONS[how], *more], *options, **env))
        return started[-1]

    yield begin
    for one in started:
        if one.process.poll() is None:
            one.kill()


def undisturbed(tmp_path: Path, steps: int = STEPS) -> tuple[str, list[str]]:
    folder = tmp_path / "undisturbed"
    folder.mkdir()
    (folder / "fast").touch()
    subprocess.run([tmp_path / "fakesim", "sim", str(steps)], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return (folder / "sim.result").read_text(), (folder / "sim.log").read_text().splitlines()


def rows(tmp_path: Path) -> list[str]:
    """All rows of all attempts' logs, once each, in order."""
    found = {row for path in tmp_path.glob("*sim.log") for row in path.read_text().splitlines() if " " in row}
    return sorted(found, key=lambda row: int(row.split()[0]))


@pytest.mark.parametrize("how", WAYS)
def test_it_goes_on_where_it_was_told_to_stop(tmp_path: Path, begin, how):
    path = recipe(tmp_path, how, lead="15s")
    options = ("--time", "22s", "--tries", "1") if how == "time" else ("--tries", "1")
    one = begin(how, path, options=(*options, "--max-attempts", "1"))
    one.await_line("committed step 1")
    one.await_output(tmp_path, "begins at")
    if how == "periodic":
        one.await_line("committed step 2")
    status = one.end() if how == "time" else one.notice()
    assert status == 85, one.said
    (tmp_path / "fast").touch()
    two = begin(how, path)
    assert two.end() == 0, two.said
    assert (tmp_path / "said").read_text().count("begins at 0\n") == 1
    assert ((tmp_path / "sim.result").read_text(), rows(tmp_path)) == undisturbed(tmp_path)
    assert not (tmp_path / "sim.EXIT").exists()
    three = begin(how, path)  # it is done
    assert three.end() == 0
    assert (tmp_path / "said").read_text().count("ALL DONE") == 1
