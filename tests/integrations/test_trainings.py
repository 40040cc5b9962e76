"""The examples of the trainers, killed and told to leave at random steps: bit-identical to the undisturbed training."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from integrations.nursery import Nursery
from integrations.wounds import outcome, wounds

_LONGEST = 4
_COUNT = int(os.environ.get("OUTLAST_TEST_KILLS", "4"))  # `make trainings` asks for 20
_WORKERS = (0, 4) if _COUNT >= 20 else (0, 2)
_EPOCHS = -(-_COUNT * _LONGEST // 6) + 1  # of six batches at least: so long that every wound is inflicted


@pytest.fixture(scope="module", params=["accelerate", "lightning", "transformers"])
def nursery(request: pytest.FixtureRequest) -> Iterator[Nursery]:
    if importlib.util.find_spec(request.param) is None:  # not imported here: that takes many seconds
        pytest.skip(f"needs {request.param}: pip install 'outlast[{request.param}]'")
    with Nursery(f"integrations.programs.{request.param}_training") as found:
        yield found


@pytest.mark.parametrize("workers", _WORKERS)
def test_a_wounded_training_comes_out_as_the_undisturbed_one(nursery: Nursery, workers: int, tmp_path: Path) -> None:
    arguments = {"workers": workers, "epochs": _EPOCHS}
    whole, _ = outcome(nursery, tmp_path, "whole", wounds(0, 0, _LONGEST), **arguments)
    told, statuses = outcome(nursery, tmp_path, "wounded", wounds(workers + 1, _COUNT, _LONGEST), **arguments)
    assert told == whole
    assert len(statuses) == _COUNT + 1
    assert {-signal.SIGKILL, 85} >= set(statuses[:-1])


@pytest.mark.parametrize("nursery", ["lightning", "transformers"], indirect=True)
def test_a_notice_to_all_in_a_validation_does_not_end_its_workers(nursery: Nursery, tmp_path: Path) -> None:
    arguments = {"workers": 1, "epochs": 2, "within": "validation"}
    whole, _ = outcome(nursery, tmp_path, "whole", wounds(0, 0, 1), **arguments)
    notices = itertools.chain([{"after": 1, "by": "SIGTERM"}] * 2, wounds(0, 0, 1))
    told, statuses = outcome(nursery, tmp_path, "wounded", notices, **arguments)
    assert statuses[0] == 85
    assert told == whole


@pytest.mark.parametrize("nursery", ["lightning"], indirect=True)
def test_what_model_checkpoint_writes_is_durable_and_checked(nursery: Nursery, tmp_path: Path) -> None:
    log = tmp_path / "log"
    status = nursery.attempt(log, store=str(tmp_path / "kept"), result=str(tmp_path / "told.json"), what="io")
    assert status == 0, log.read_text()
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["same"]
    assert told["step"] == [18, 18, 24]
    assert "checkpoint/state_dict" in told["damage"] or "part-00000" in told["damage"]
    assert len(told["kept"]) == 2
    assert told["kept"][1] == "last.ckpt"
    assert told["checkpoints"] == [1, 1]


@pytest.mark.parametrize("nursery", ["lightning"], indirect=True)
def test_a_schedule_that_watches_a_metric_steps_at_the_end_of_each_epoch(nursery: Nursery, tmp_path: Path) -> None:
    whole, _ = outcome(nursery, tmp_path, "whole", wounds(0, 0, _LONGEST), what="plateau")
    told, statuses = outcome(nursery, tmp_path, "wounded", wounds(3, 3, _LONGEST), what="plateau")
    assert len(statuses) == 4
    assert whole["schedule"]["last_epoch"] == 4
    assert told == whole


@pytest.mark.parametrize("nursery", ["lightning"], indirect=True)
def test_what_does_not_come_back_is_refused(nursery: Nursery, tmp_path: Path) -> None:
    told = tmp_path / "told"
    assert nursery.attempt(tmp_path / "log", store=str(tmp_path / "store"), result=str(told), what="swa") == 0
    assert "StochasticWeightAveraging" in told.read_text()
    assert "WeightAveraging, which comes back exactly" in told.read_text()
    assert "a training loader without a length" in told.read_text()
