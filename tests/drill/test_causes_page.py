"""docs/reference/drill-causes.md says what the diagnosis says, and which of the classic faulty programs show it."""

from __future__ import annotations

import re
from pathlib import Path

from drill.twinkit import twins
from outlast.drill.diagnosis import CAUSES

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "drill-causes.md").read_text()


def row(cause: str) -> str:
    shown = sorted({twin.script.parent.name for twin in twins("bad") if twin.cause == cause})
    return f"| `{cause}` | {', '.join(shown).replace('_', ' ')} | {CAUSES[cause]} |"


def test_the_table():
    expected = [row(cause) for cause in CAUSES]
    assert [line for line in PAGE.splitlines() if re.match(r"\| `", line)] == expected


def test_at_least_25_of_the_classic_faulty_programs_are_here():
    classic = {re.match(r"P\d+", twin.name)[0] for twin in twins("bad")}
    assert len(classic) >= 25
    assert f"{len(classic)} classic faulty programs" in PAGE
