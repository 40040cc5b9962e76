"""Examples of the frameworks through the whole of `outlast drill`: PyTorch's always, the others by `make trainings`."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from drill.drillkit import drill

EXAMPLES = Path(__file__).parents[2] / "examples"
OTHERS = ("accelerate", "jax", "keras", "lightning", "numpy-pde", "scipy-ode", "sklearn", "tensorflow", "transformers")
ALL = "OUTLAST_TEST_KILLS" in os.environ


def training(name: str, folder: Path, monkeypatch, *, without: str = "") -> list[str]:
    """Put an example into a folder, without some of its text; return the command."""
    home = folder / "home"
    shutil.copytree(EXAMPLES / name, home)
    text = (home / "train.py").read_text()
    assert without in text
    (home / "train.py").write_text(text.replace(without, ""))
    monkeypatch.chdir(home)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return [sys.executable, "train.py"]


@pytest.mark.torch
@pytest.mark.slow
def test_a_training_of_pytorch_restarts_exactly(tmp_path, monkeypatch, capsys):
    command = training("pytorch", tmp_path, monkeypatch)
    found = drill(capsys, "--faults", "step", "--jobs", "2", "--", *command)
    assert (found.status, found.results) == (0, {"step": "passed"}), (found.out, found.err)
    assert [one["status"] for one in found.of("step")["attempts"]] == [137, 0]


if ALL:

    @pytest.mark.parametrize("name", OTHERS)
    def test_a_training_restarts_exactly(tmp_path, monkeypatch, capsys, name):
        command = training(name, tmp_path, monkeypatch)
        found = drill(capsys, "--faults", "kill", "--kills", "1", "--jobs", "2", "--", *command)
        assert (found.status, found.results) == (0, {"kill": "passed"}), (found.out, found.err)

    def test_a_training_of_pytorch_without_its_generators_is_told_so(tmp_path, monkeypatch, capsys):
        command = training("pytorch", tmp_path, monkeypatch, without=', "rng": outlast.RNG()')
        found = drill(capsys, "--faults", "step", "--jobs", "2", "--", *command)
        assert found.status == 1, (found.out, found.err)
        assert "Torch's CPU RNG was not restored: it is not in the state" in found.text
