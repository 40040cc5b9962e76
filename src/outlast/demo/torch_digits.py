"""A small network on the handwritten digits of scikit-learn, in PyTorch: shuffling, dropout, momentum, a schedule."""

from __future__ import annotations

import random

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import outlast


def train(store: str, *, epochs: int, batch: int, every: int) -> float:
    """Train, and return the share of digits that are read correctly."""
    random.seed(7)  # the global generators that are saved with the run
    np.random.seed(7)  # noqa: NPY002
    torch.manual_seed(7)
    digits = load_digits()
    images = torch.tensor(digits.data / 16.0, dtype=torch.float32)
    labels = torch.tensor(digits.target)
    loader = DataLoader(TensorDataset(images, labels), batch_size=batch, shuffle=True)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    state = {"model": model, "optimizer": optimizer, "schedule": schedule, "rng": outlast.RNG()}
    with outlast.Run(store, state, every=every) as run:
        for _ in run.range(epochs, "epoch"):
            for x, y in run.iterate(loader, "batch"):
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
                run.log(loss=loss.item())
            schedule.step()
        model.eval()
        with torch.no_grad():
            accuracy = float((model(images).argmax(1) == labels).double().mean())
        run.log(accuracy=accuracy)
    return accuracy
