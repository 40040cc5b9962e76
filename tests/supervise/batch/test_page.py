"""The page about batch systems has a row for each, and says truly how it is tried."""

import re
import tomllib
from pathlib import Path

import pytest

from supervise.batch.records import FOLDER

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reference" / "batch-systems.md").read_text()
ROWS = dict(re.findall(r"^\| `(\w+)` \|.*\| ([^|]+) \|$", PAGE, re.MULTILINE))
SYSTEMS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["outlast.schedulers"]


def test_every_system_has_a_row():
    assert set(ROWS) == set(SYSTEMS)


@pytest.mark.parametrize("name", sorted(set(SYSTEMS) - {"local"}))
def test_how_it_is_tried_is_said(name):
    (kind,) = re.findall(rf"^\| `{name}` \|.* (\w+) \|$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert ROWS[name].startswith({"real": "real", "documented": "recorded"}[kind])
    assert list((FOLDER / name).glob("*.txt"))
