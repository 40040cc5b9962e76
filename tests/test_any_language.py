"""The clients of docs/reference/any-language.md keep the protocol, and the conformance program sees who does not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from outlast.testing.conformance.cases import CASES
from outlast.testing.conformance.rig import Rig

PAGE = (Path(__file__).parents[1] / "docs/reference/any-language.md").read_text()
SOME = ("stop", "same")

# Each case of the conformance program must be over before the client is: on a loaded machine that takes some seconds.
SLOWER = {"sleep 0.02": "sleep 0.08", "Sys.sleep(0.02)": "Sys.sleep(0.08)", "usleep(20000)": "usleep(80000)"}
SLOWER |= {"pause(0.02)": "pause(0.08)"}


def slower(language: str) -> str:
    """Return the client of the page, with four times as much work."""
    text = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[1]
    (work,) = (work for work in SLOWER if work in text)
    assert text.count(work) == 1
    return text.replace(work, SLOWER[work])


BASH = slower("bash")


def client(language: str, folder: Path) -> list[str]:
    """Write a client of the page down, and compile it if it must be; return the command that runs it."""
    text = slower(language)
    tools = {"bash": "bash", "r": "Rscript", "c": "gcc", "fortran": "gfortran", "matlab": "octave-cli"}
    ending = {"bash": "sh", "r": "R", "c": "c", "fortran": "f90", "matlab": "m"}[language]
    tool, source = tools[language], folder / f"client.{ending}"
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed: make tools installs it, where you may")
    source.write_text(text)
    if ending not in ("c", "f90"):
        return [tool, str(source)]
    flags = ["-Wall", "-Werror"] if ending == "c" else []
    subprocess.run([tool, *flags, "-o", folder / "client", source], check=True, timeout=60)
    return [str(folder / "client")]


def refuses_to_be_alone(command: list[str]) -> bool:
    """Say whether it ends at once where nobody would take what it saves."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("OUTLAST_")}
    found = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    return found.returncode != 0 and not found.stdout


def tried(command: list[str], *options: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "outlast.testing.conformance", *options, "--", *command]
    return subprocess.run(argv, capture_output=True, text=True, timeout=280, check=False)


def only(*names: str) -> list[str]:
    return [word for name in names for word in ("--only", name)]


@pytest.mark.parametrize("language", ["bash", "r", "matlab", "julia", "fortran", "c"])
def test_a_client_has_fifteen_lines(language: str) -> None:
    text = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[1]
    assert len(text.splitlines()) <= 15
    assert max(map(len, text.splitlines())) <= 160


def test_bash(tmp_path: Path) -> None:
    command = client("bash", tmp_path)
    assert refuses_to_be_alone(command)
    found = tried(command, "--kills", "2")
    assert found.returncode == 0, found.stdout
    assert "1..12\nall passed\n" in found.stdout


def test_c(tmp_path: Path) -> None:
    command = client("c", tmp_path)
    assert refuses_to_be_alone(command)
    found = tried(command, *only("writing", "busy", "same"), "--kills", "2")
    assert found.returncode == 0, found.stdout


def test_kills_in_a_slow_save_are_not_taken_for_a_program_that_gets_nowhere(tmp_path: Path) -> None:
    """It is always killed before the rename. A supervisor that sees no progress waits longer each time."""
    (tmp_path / "client.sh").write_text(BASH.replace("        mv ", "        sleep 0.5; mv "))
    rig = Rig(["bash", str(tmp_path / "client.sh")], tmp_path, kills=2)
    try:
        CASES["writing"](rig)
        said = [text for text in rig._running[-1].lines if "made progress" in text or "without progress" in text]
    finally:
        rig.stop()
    assert len(said) == 2
    assert not any("without progress" in text for text in said)


@pytest.mark.parametrize("language", ["r", "fortran", "matlab"])
def test_other_languages(tmp_path: Path, language: str) -> None:
    """What is given for MATLAB is tried with Octave."""
    command = client(language, tmp_path)
    assert refuses_to_be_alone(command)
    found = tried(command, *only(*SOME))
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize(
    ("old", "new", "case", "said"),
    [
        ("exit 85", "exit 0", "stop", "it saved, and exited with 0, expected 85"),
        (
            '/new"\n        mv "$OUTLAST_SAVE/new" "$OUTLAST_SAVE/$i"',
            '/$i"',
            "busy",
            "instead of renaming what is whole",
        ),
        ('. "$OUTLAST_RESTORE/state"', ":", "stop", "it was started with the state of step"),
        ('[ ! -e "$OUTLAST_CONTROL/stop" ] || stop=1', ":", "person", "expected 85"),
    ],
    ids=["status", "torn", "restart", "deaf"],
)
def test_a_client_that_breaks_the_rules_is_found(tmp_path: Path, old: str, new: str, case: str, said: str) -> None:
    assert BASH.count(old) == 1
    (tmp_path / "client.sh").write_text(BASH.replace(old, new))
    found = tried(["bash", str(tmp_path / "client.sh")], *only(case))
    assert found.returncode == 1, found.stdout
    assert f"not ok 1 {case}: " in found.stdout
    assert said in found.stdout


def test_one_that_cannot_be_judged() -> None:
    found = tried(["true"], *only("first"))
    assert found.returncode == 2
    assert "cannot be judged: " in found.stdout


def test_the_cases_are_named() -> None:
    found = tried([], "--list")
    assert found.returncode == 0
    assert "writing      Killed again and again while it saves, nothing is lost and nothing is torn\n" in found.stdout
