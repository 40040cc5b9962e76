"""The example of Transformers, wounded."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from transformers import EarlyStoppingCallback, TrainerCallback

from integrations.programs.examples import example
from integrations.wounds import Wound
from outlast.integrations.transformers import TrainerRun

EXAMPLE = example("transformers")
_TIMES = ("runtime", "per_second")


class Step(TrainerCallback):
    def __init__(self, wound: Wound) -> None:
        self._wound = wound

    def on_substep_end(self, *_: Any, **__: Any) -> None:
        self._wound.step("training")

    on_step_end = on_substep_end

    def on_prediction_step(self, *_: Any, **__: Any) -> None:
        self._wound.step("validation")


def main(*, store: str, result: str, after: int, by: str, workers: int, epochs: int, within: str = "training") -> None:
    trainer = EXAMPLE.trainer(workers=workers, epochs=epochs, letters=2200)
    trainer.args.metric_for_best_model, trainer.args.load_best_model_at_end = "loss", True
    stopping = EarlyStoppingCallback(epochs, 0.05)
    trainer.add_callback(stopping)
    trainer.add_callback(Step(Wound(after, by, within)))
    with TrainerRun(trainer, store, every=1) as run:
        trainer.train(resume_from_checkpoint=True)
        run.wait()
        state = trainer.state
        digest = hashlib.blake2b()
        for parameter in trainer.model.state_dict().values():
            digest.update(parameter.numpy().tobytes())
        told = {
            "weights": digest.hexdigest(),
            "step": run.step,
            "state": [
                state.global_step,
                state.epoch,
                state.best_metric,
                state.total_flos,
                stopping.early_stopping_patience_counter,
            ],
            "log": [{k: v for k, v in row.items() if not k.endswith(_TIMES)} for row in state.log_history],
        }
        Path(result).write_text(json.dumps(told))
