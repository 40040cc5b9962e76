"""docs/how-to/matlab.md and the examples: the program goes on, the commands are there, the job scripts lose nothing."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from outlast.cli import main as cli
from ports import octavekit
from ports.octavekit import PORT

ROOT = PORT.parents[1]
PAGE = (ROOT / "docs" / "how-to" / "matlab.md").read_text()
PROGRAM = re.findall(r"```octave\n(.*?)```", PAGE, re.DOTALL)[0]
EXAMPLES = ("octave-digits", "matlab-cnn")


@pytest.mark.skipif(octavekit.OCTAVE is None, reason=octavekit.ABSENT)
def test_the_program_of_the_page_goes_on(tmp_path: Path) -> None:
    code = PROGRAM.replace("/path/to/outlast/ports/matlab", str(PORT))
    results = {}
    for folder, lengths in (("undisturbed", [20000]), ("in-two", [9000, 20000])):
        (tmp_path / folder).mkdir()
        for length in lengths:
            script = tmp_path / folder / "program.m"
            script.write_text(code.replace("20000", str(length)))
            done = octavekit.run(tmp_path / folder, script)
            assert done.returncode == 0, done.stderr
        results[folder] = done.stdout
    assert "going on from step 9000" in done.stderr
    assert len(results["undisturbed"].split()) == 3
    assert results["in-two"] == results["undisturbed"]


@pytest.mark.parametrize("command", sorted(re.findall(r"^outlast (.+?)(?: +#.*)?$", PAGE, re.MULTILINE)))
def test_commands_are_understood(command: str) -> None:
    cli.parse(shlex.split(command))


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_job_scripts_lose_nothing(name: str) -> None:
    assert f"(../../examples/{name}/train.m)" in PAGE
    assert cli.main(["lint", str(ROOT / "examples" / name / "job.sh")]) == 0


def test_every_function_of_the_port_is_named_after_its_file_and_has_a_help_text() -> None:
    """Octave goes by the file's name, and says nothing of another one in it."""
    paths = sorted(PORT.glob("**/*.m"))
    assert {path.stem for path in PORT.glob("+outlast/*.m")} == {"open", "load", "tick", "done"}
    for path in paths:
        first, second = path.read_text().splitlines()[:2]
        named = re.fullmatch(r"function (?:(?:\w+|\[[\w, ]+\]) = )?(\w+)(?:\(.*\))?", first)
        assert named, (path, first)
        assert named[1] == path.stem, path
        assert second.startswith(f"%{path.stem.upper()}  "), path
        for called in re.findall(r"outlast\.internal\.(\w+)", path.read_text()):
            assert (PORT / "+outlast" / "+internal" / f"{called}.m").exists(), (path, called)
