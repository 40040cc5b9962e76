"""Handwritten digits, by Lightning. Kill it, and start it again.

python train.py STORE          # or: outlast run --time 20s --store STORE -- python train.py
"""

import os
import sys

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, Dataset

from outlast.integrations.lightning import FitRun


class Digits(Dataset):
    """Images of 8 by 8, with noise that is drawn anew every time."""

    def __init__(self, first: int, last: int) -> None:
        images, digits = load_digits(return_X_y=True)
        self.images = torch.tensor(images[first:last] / 16, dtype=torch.float32)
        self.digits = torch.tensor(digits[first:last])

    def __len__(self) -> int:
        return len(self.digits)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.images[index] + 0.1 * torch.randn(64), self.digits[index]


class Net(L.LightningModule):
    """A small network with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(64, 32),
            torch.nn.BatchNorm1d(32),
            torch.nn.ReLU(),
            torch.nn.Dropout(0.2),
            torch.nn.Linear(32, 10),
        )

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> torch.Tensor:
        images, digits = batch
        loss = torch.nn.functional.cross_entropy(self.layers(images), digits)
        self.log("loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> None:
        images, digits = batch
        self.log("val_loss", torch.nn.functional.cross_entropy(self.layers(images), digits))

    def configure_optimizers(self) -> dict[str, object]:
        optimizer = torch.optim.AdamW(self.parameters(), lr=3e-3)
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)}


def trainer(epochs: int = 4, callbacks: tuple[L.Callback, ...] = (), **options: object) -> L.Trainer:
    """Return the trainer: nothing of it goes to disk but what outlast saves."""
    chosen = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False, **options}
    callbacks = (EarlyStopping("val_loss", patience=epochs), *callbacks)
    return L.Trainer(
        max_epochs=epochs, callbacks=list(callbacks), accelerator="cpu", logger=False, log_every_n_steps=1, **chosen
    )


def loaders(workers: int = 0, count: int = 300) -> tuple[DataLoader, DataLoader]:
    """Return the data of training and of validation."""
    training = DataLoader(Digits(0, count), batch_size=16, shuffle=True, num_workers=workers)
    return training, DataLoader(Digits(1500, 1600), batch_size=50)


def main(store: str) -> None:
    """Train, and say how it came out."""
    L.seed_everything(7, verbose=False)
    training = trainer()
    with FitRun(training, store):
        training.fit(Net(), *loaders())
        print({name: float(value) for name, value in training.callback_metrics.items()})


if __name__ == "__main__":
    main(os.environ.get("OUTLAST_STORE") or sys.argv[1])
