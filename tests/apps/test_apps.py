"""Real applications, by their recipes: told to leave, restarted, compared with undisturbed runs (`make test-apps`)."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from apps.setups import APPS, ENV, is_under_way
from recipes.kit import Started

BOUND_S = 1200  # a busy machine is ten times as slow


@pytest.fixture(params=sorted(APPS))
def app(request):
    found = APPS[request.param]
    if not shutil.which(found.program):
        pytest.skip(f"needs {found.program}: `make test-apps` installs it on Debian")
    return found


def undisturbed(app, folder: Path) -> dict[str, float]:
    folder.mkdir()
    app.prepare(folder)
    with open(folder / "said", "w") as out:
        subprocess.run(app.command, cwd=folder, check=True, stdout=out, stderr=out, env={**os.environ, **ENV})
    return app.result(folder)


def test_it_goes_on_after_a_notice(tmp_path: Path, app):
    expected = undisturbed(app, tmp_path / "undisturbed")
    folder = tmp_path / "wounded"
    folder.mkdir()
    app.prepare(folder)
    one = Started(folder, app.recipe, app.command, "--tries", "1", **ENV)
    until_s = time.monotonic() + BOUND_S
    while not is_under_way(app, folder):
        assert one.process.poll() is None, f"{one.said}\n{(folder / 'said').read_text()}"
        assert time.monotonic() < until_s, one.said
        time.sleep(0.05)
    assert one.notice(BOUND_S) == 85, one.said
    assert "asked " in one.said
    two = Started(folder, app.recipe, app.command, "--tries", "1", **ENV)
    assert two.end(BOUND_S) == 0, f"{two.said}\n{(folder / 'said').read_text()[-3000:]}"
    assert "restored step" in two.said
    found = app.result(folder)
    assert found == pytest.approx(expected, rel=app.tolerance, abs=0)
    print({name: (found[name], expected[name]) for name in list(found)[-4:]})
    assert Started(folder, app.recipe, app.command, "--tries", "1", **ENV).end() == 0


def test_gromacs_outlasts_the_wall(tmp_path: Path):
    """`outlast run --time`: asked ahead of each end, by the lead, and started again until it is done."""
    app = APPS["gromacs"]
    if not shutil.which(app.program):
        pytest.skip("needs gmx: `make test-apps` installs it on Debian")
    expected = undisturbed(app, tmp_path / "undisturbed")
    folder = tmp_path / "wounded"
    folder.mkdir()
    app.prepare(folder)
    one = Started(folder, app.recipe, app.command, "--tries", "50", "--time", "5s", **ENV)
    assert one.end(BOUND_S) == 0, one.said
    assert one.said.count("restored step") >= 1, one.said
    assert one.said.count("asked GROMACS") >= 1, one.said
    assert "killing it" not in one.said
    assert app.result(folder) == pytest.approx(expected, rel=0, abs=0)
