"""The job scripts of the examples lose no work."""

import difflib
import subprocess
from pathlib import Path

import pytest

from outlast.cli import main as cli

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(EXAMPLES.rglob("*.sh"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_a_job_script_loses_no_work(script, capsys):
    subprocess.run(["bash", "-n", script], check=True)
    assert cli.main(["lint", str(script)]) == 0, capsys.readouterr().out


def test_there_is_one_for_each_of_the_languages_in_each_environment():
    folder = EXAMPLES / "job-scripts"
    wanted = {
        f"{what}-{where}.sh" for what in ("pytorch", "tensorflow", "matlab", "r") for where in ("conda", "apptainer")
    }
    assert wanted == {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("before", sorted(EXAMPLES.rglob("before.py")), ids=lambda path: path.parent.name)
def test_few_lines_change(before):
    """Not counted: blank lines, the module's docstring, and what only moves to the right."""
    texts = [(before.parent / name).read_text().split('"""', 2)[2] for name in ("before.py", "train.py")]
    old, new = ([line.strip() for line in text.splitlines() if line.strip()] for text in texts)
    rows = [one for one in difflib.SequenceMatcher(None, old, new).get_opcodes() if one[0] != "equal"]
    changed = sum(max(row[2] - row[1], row[4] - row[3]) for row in rows)
    assert 0 < changed <= 6
