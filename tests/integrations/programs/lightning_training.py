"""The example of Lightning, wounded."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, StochasticWeightAveraging
from torch.utils.data import DataLoader

from integrations.programs.examples import example
from integrations.wounds import Wound
from outlast.errors import DamageError, UsageError
from outlast.integrations.lightning import FitRun
from outlast.integrations.lightning_io import StoreCheckpointIO, load
from outlast.store import Store

EXAMPLE = example("lightning")


class Step(L.Callback):
    """Ends the attempt, and keeps what is logged for each epoch."""

    def __init__(self, wound: Wound) -> None:
        self._wound = wound
        self.epochs: list[Any] = []

    def on_train_batch_end(self, *_: Any) -> None:
        self._wound.step("training")

    def on_validation_batch_end(self, *_: Any) -> None:
        self._wound.step("validation")

    def on_train_epoch_end(self, trainer: L.Trainer, _: Any) -> None:
        steps = trainer.fit_loop.epoch_loop._batches_that_stepped
        metrics = {name: float(value).hex() for name, value in trainer.callback_metrics.items()}
        self.epochs.append([trainer.current_epoch, trainer.global_step, steps, metrics])

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.epochs = state_dict["epochs"]


def main(*, store: str, result: str, what: str = "train", **arguments: Any) -> None:
    warnings.filterwarnings("ignore", ".*does not have many workers.*|.*log_every_n_steps.*")
    {"train": train, "io": keep, "plateau": watch, "swa": refuse}[what](store=store, result=result, **arguments)


def keep(*, store: str, result: str) -> None:
    """Save by ModelCheckpoint, look at what it has written, damage it."""
    L.seed_everything(7, verbose=False)
    best = ModelCheckpoint(store, monitor="val_loss", save_top_k=1, save_last=True)
    options = {"enable_checkpointing": True, "plugins": [StoreCheckpointIO()]}
    trainer, model = EXAMPLE.trainer(3, (best,), **options), EXAMPLE.Net()
    trainer.fit(model, *EXAMPLE.loaders(0, count=90))
    last = load(best.last_model_path)
    same = all(torch.equal(value, last["state_dict"][name]) for name, value in model.state_dict().items())
    again, other = EXAMPLE.trainer(4, (ModelCheckpoint(store + "2"),), **options), EXAMPLE.Net()
    again.fit(other, *EXAMPLE.loaders(0, count=90), ckpt_path=best.last_model_path)
    part = next(Path(best.last_model_path).rglob("*.safetensors"))
    raw = bytearray(part.read_bytes())
    raw[-100] ^= 1
    part.write_bytes(raw)
    try:
        load(best.last_model_path)
    except DamageError as e:
        damage = str(e)
    told = {
        "same": same,
        "step": [trainer.global_step, last["global_step"], again.global_step],
        "damage": damage,
        "kept": sorted(path.name for path in Path(store).iterdir()),
        "checkpoints": [len(Store(path).checkpoints()) for path in sorted(Path(store).iterdir())],
    }
    Path(result).write_text(json.dumps(told))


class Stream(torch.utils.data.IterableDataset[Any]):
    """Data of unknown length."""

    def __iter__(self) -> Iterator[Any]:
        yield torch.ones(64), 1


def refuse(*, store: str, result: str) -> None:
    """Use a callback, and data, that do not come back."""
    try:
        FitRun(EXAMPLE.trainer(3, (StochasticWeightAveraging(0.01),)), store)
    except UsageError as e:
        Path(result).write_text(f"{e}: {e.hint}")
    trainer = EXAMPLE.trainer(1)
    _, validation = EXAMPLE.loaders(0, count=90)
    try:
        with FitRun(trainer, store):
            trainer.fit(EXAMPLE.Net(), torch.utils.data.DataLoader(Stream()), validation)
    except UsageError as e:
        with Path(result).open("a") as file:
            file.write(f"{e}: {e.hint}")


class Watched(EXAMPLE.Net):  # type: ignore[misc, name-defined]
    """With a schedule that watches a metric."""

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="max", factor=0.5, patience=0)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "monitor": "val_loss"}}


def watch(*, store: str, result: str, after: int, by: str) -> None:
    """Train with a rate that falls whenever the loss has not grown."""
    L.seed_everything(7, verbose=False)
    trainer = EXAMPLE.trainer(4, (Step(Wound(after, by)),))
    with FitRun(trainer, store, every=1):
        trainer.fit(Watched(), *EXAMPLE.loaders(0, count=90))
        schedule = trainer.lr_scheduler_configs[0].scheduler.state_dict()
        Path(result).write_text(json.dumps({"schedule": schedule, "rate": trainer.optimizers[0].param_groups[0]["lr"]}))


def train(
    *, store: str, result: str, after: int, by: str, workers: int, epochs: int, within: str = "training", **options: Any
) -> None:
    L.seed_everything(7, verbose=False)
    step = Step(Wound(after, by, within))
    trainer = EXAMPLE.trainer(epochs, (step,), **options)
    model = EXAMPLE.Net()
    with FitRun(trainer, store, every=1) as run:
        training, validation = EXAMPLE.loaders(workers, count=90)
        if within == "validation":
            validation = DataLoader(validation.dataset, batch_size=20, num_workers=workers)
        trainer.fit(model, training, validation)
        digest = hashlib.blake2b()
        for parameter in model.state_dict().values():
            digest.update(parameter.numpy().tobytes())
        stopping = trainer.early_stopping_callback
        told = {
            "weights": digest.hexdigest(),
            "step": run.step,
            "epochs": step.epochs,
            "best": [float(stopping.best_score), stopping.wait_count],
            "rate": trainer.optimizers[0].param_groups[0]["lr"],
        }
        Path(result).write_text(json.dumps(told))
