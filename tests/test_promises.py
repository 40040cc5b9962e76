"""Each promise in the documentation names what shows it, and that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proof import core

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reference" / "promises.md"
ROWS = re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \|$", PAGE.read_text(), re.MULTILINE)


def test_promises_are_numbered() -> None:
    assert [int(number) for number, _, _ in ROWS] == list(range(1, len(ROWS) + 1))
    assert len(ROWS) > 20


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_what_shows_a_promise_exists(row: tuple[str, str, str]) -> None:
    shown = re.findall(r"`([\w./:-]+)`", row[2])
    assert shown
    for name in shown:
        if "/" in name:
            file, _, test = name.partition("::")
            assert (ROOT / file).is_file(), name
            assert f"def {test}" in (ROOT / file).read_text(), name
        else:
            assert name in (*core.HARNESSES, "lost", "prune", "keep-1", "files"), name


def test_every_harness_shows_a_promise() -> None:
    told = PAGE.read_text()
    assert [name for name in core.HARNESSES if f"`{name}`" not in told] == []
