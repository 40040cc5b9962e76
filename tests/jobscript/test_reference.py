"""docs/reference/lint.md says what the rules say, and its commands are there."""

import re
from pathlib import Path

import pytest

from outlast.cli.main import parser
from outlast.jobscript import catalogue, shell
from outlast.jobscript.catalogue import RULES

REFERENCE = (Path(__file__).parents[2] / "docs" / "reference" / "lint.md").read_text()
TABLE = [line for line in REFERENCE.splitlines() if re.match(r"\| J\d", line)]


def row(rule):
    kind = f"{rule.severity}{', `--fix`' if rule.fixes else ''}"
    about = "Slurm" if rule.slurm_only else "any shell script"
    cells = (rule.id, kind, rule.title, rule.reason, rule.remedy, about)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def test_the_table():
    expected = [row(rule) for rule in RULES]
    assert expected == TABLE


@pytest.mark.parametrize("command", re.findall(r"^outlast (lint .+?)(?: +#.*)?$", REFERENCE, re.MULTILINE))
def test_the_commands(command):
    parser().parse_args(command.split())


def test_the_limits():
    assert catalogue.MAX_BYTES == 1 << 20
    assert f"over {shell.MAX_COMMANDS} commands" in REFERENCE


def test_rules_have_ids_of_their_own_and_stand_in_order():
    numbers = [int(rule.id.removeprefix("J")) for rule in RULES]
    assert numbers == sorted(set(numbers))
