"""Real trainings with every part of PyTorch, killed and told to leave: state, losses and samples to the last bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("torch_exact.py")
KILLS = int(os.environ.get("OUTLAST_TEST_KILLS", "1"))  # of each training; 20 in `make trainings`
NAMES = {
    "optimizers": ("sgd-foreach", "adam-fused", "adamw-foreach", "adagrad", "rprop", "groups", "per-parameter"),
    "schedules": ("one-cycle", "cosine-restarts", "plateau", "warm-up"),
    "around": ("scaler", "ema", "compiled"),
    "data": ("workers", "persistent-workers", "weighted", "batch-sampler", "stateful", "stateful-workers"),
}


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.timeout(600 + 60 * KILLS)
@pytest.mark.parametrize("part", NAMES)
def test_it_goes_on_to_the_bit(tmp_path: Path, part: str) -> None:
    command = [sys.executable, str(PROGRAM), str(tmp_path), str(KILLS), *NAMES[part]]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = {one["name"]: one for one in map(json.loads, done.stdout.splitlines())}
    assert found.keys() == set(NAMES[part])
    for name, one in found.items():
        assert one["first"] == 0, name
        assert one["ends"][-1] == 0, one
        assert set(one["ends"][:-1]) <= {-9, 85}, one  # by SIGKILL, or saved and left
        assert len(one["ends"]) == KILLS + 1, one
        assert (one["differ"], one["leaves"], one["left"]) == ([], [], 0), one
