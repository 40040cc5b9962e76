"""Octave below `outlast run`: it keeps the protocol; where the supervisor knows no store it keeps its files itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ports import octavekit
from ports.octavekit import BOUND_S, PROGRAM, command, environment

pytestmark = pytest.mark.skipif(octavekit.OCTAVE is None, reason=octavekit.ABSENT)
SOURCE = str(Path(__file__).parents[2] / "src")


def python(*arguments: str) -> list[str]:
    return [sys.executable, "-m", *arguments]


def test_it_keeps_the_protocol(tmp_path: Path) -> None:
    """PR-37 to PR-48, as any port is tried."""
    trial = python("outlast.testing.conformance", "--kills", "3", "--", *command(PROGRAM, 250, 3600, 1000, 0.01))
    done = subprocess.run(
        trial,
        cwd=tmp_path,
        env=environment(PYTHONPATH=SOURCE),
        capture_output=True,
        text=True,
        timeout=2 * BOUND_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("all passed\n")
    assert not os.listdir(tmp_path)


def test_without_a_store_it_says_where_it_saves_and_is_asked_by_files(tmp_path: Path) -> None:
    supervised = python("outlast", "run", "--json", "--", *command(PROGRAM, 100_000, 0, 1, 0.01))
    with subprocess.Popen(
        supervised,
        cwd=tmp_path,
        env=environment(PYTHONPATH=SOURCE),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("saved 3 "):
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=BOUND_S)
    assert process.returncode == 85
    events = [json.loads(line) for line in errors.splitlines() if line.startswith("{")]
    (end,) = [event for event in events if event["event"] == "end"]
    steps = [int(path.name.split("-")[0]) for path in (tmp_path / ".outlast").glob("*.mat")]
    assert end["step"] == max(steps) >= 3
    assert end["cause"] == "outside"
    assert not (tmp_path / "octave-workspace").exists()
