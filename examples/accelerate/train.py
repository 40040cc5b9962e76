"""Handwritten digits, by a loop of one's own with Accelerate. Kill it, and start it again.

python train.py STORE          # or: outlast run --time 20s --store STORE -- python train.py
"""

import os
import sys
from collections.abc import Callable

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, Dataset

from outlast.integrations.accelerate import AcceleratedRun


class Digits(Dataset):
    """Images of 8 by 8, with noise that is drawn anew every time."""

    def __init__(self, count: int) -> None:
        images, digits = load_digits(return_X_y=True)
        self.images, self.digits = torch.tensor(images[:count] / 16, dtype=torch.float32), torch.tensor(digits[:count])

    def __len__(self) -> int:
        return len(self.digits)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.images[index] + 0.1 * torch.randn(64), self.digits[index]


def main(
    store: str,
    workers: int = 0,
    epochs: int = 3,
    count: int = 300,
    each: Callable[[], object] = bool,
    every: str | int = "auto",
) -> dict[str, float]:
    """Train, and say how it came out. `each` is called after each batch."""
    set_seed(7)
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    model = torch.nn.Sequential(
        torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(32, 10)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 100)
    loader = DataLoader(Digits(count), batch_size=16, shuffle=True, num_workers=workers)
    model, optimizer, schedule, loader = accelerator.prepare(model, optimizer, schedule, loader)
    total = {"loss": 0.0, "batches": 0}
    with AcceleratedRun(accelerator, store, {"total": total}, every=every) as run:
        for _ in run.range(epochs, "epoch"):
            for images, digits in run.iterate(loader, "batch"):
                with accelerator.accumulate(model):
                    loss = torch.nn.functional.cross_entropy(model(images), digits)
                    accelerator.backward(loss)
                    optimizer.step()
                    schedule.step()
                    optimizer.zero_grad()
                total["loss"] += loss.item()
                total["batches"] += 1
                each()
        weights = sum(parameter.double().sum().item() for parameter in model.parameters())
        found = {
            "steps": run.step,
            "loss": total["loss"] / total["batches"],
            "weights": weights,
            "rate": schedule.get_last_lr()[0],
        }
        print(found)
    return found


if __name__ == "__main__":
    main(os.environ.get("OUTLAST_STORE") or sys.argv[1])
