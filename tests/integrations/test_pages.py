"""The how-to pages of the fronts, and the job scripts of their examples."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from outlast.cli import main as cli

_ROOT = Path(__file__).parents[2]
_FRONTS = ("accelerate", "lightning", "transformers")


@pytest.mark.parametrize("name", _FRONTS)
def test_at_most_six_lines_change(name: str) -> None:
    (diff,) = re.findall(r"```diff\n(.*?)```", (_ROOT / "docs/how-to" / f"{name}.md").read_text(), re.DOTALL)
    changed = [line for line in diff.splitlines() if line.startswith(("+", "-"))]
    assert 0 < len(changed) <= 6


@pytest.mark.parametrize("name", _FRONTS)
def test_the_job_script_of_the_example_loses_nothing(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lint", str(_ROOT / "examples" / name / "job.sh")]) == 0, capsys.readouterr().out


def test_the_commands_of_the_guard_page_are_understood() -> None:
    page = (_ROOT / "docs/how-to/guard.md").read_text()
    commands = re.findall(r"^outlast (.+?)(?: +#.*)?$", page, re.MULTILINE)
    assert len(commands) >= 3
    for command in commands:
        cli.parse(shlex.split(command))
