"""`outlast demo`, whole: the main job on real data."""

from __future__ import annotations

import importlib.util
import json
import time
from pathlib import Path

import pytest

from outlast.cli.main import main as cli
from outlast.demo import show
from outlast.store import Store


def late(director, events, strike, strike_after, watch=show._Director._watch):
    """Strike when the training would have ended long ago, as on a busy machine."""
    return watch(director, events, lambda: (time.sleep(3), strike()), strike_after)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_demo(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "numpy":
        monkeypatch.setattr(show._Director, "_watch", late)
    assert cli(["demo", "--backend", backend, "--dir", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["identical"] is True
    assert told["differing"] == []
    ended = [scene["ended"] for scene in told["scenes"]]
    assert ended == [
        "exit status 0",
        "killed by SIGKILL",
        "killed by SIGKILL",
        "exit status 85 (saved, run me again)",
        "exit status 0",
        "exit status 0",
    ]
    wounded = Store(tmp_path / "wounded")
    assert len(wounded.attempts()) == 4  # the last start found that it was done
    assert len(wounded.quarantined()) == 1
    assert told["scenes"][4]["from_step"] < told["scenes"][3]["to_step"]  # it fell back past the damage
    accuracy = wounded.manifest(wounded.checkpoints()[0]).metrics["accuracy"]
    assert accuracy > 0.9


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "sklearn" else real(name))
    assert cli(["demo", "--backend", "numpy"]) == 2
    said = capsys.readouterr().err
    assert "the demo needs sklearn, which is not installed" in said
    assert "pip install 'outlast[demo]'" in said
    monkeypatch.undo()
    (tmp_path / "file").touch()
    assert cli(["demo", "--dir", str(tmp_path)]) == 2
    assert "is not an empty directory" in capsys.readouterr().err
