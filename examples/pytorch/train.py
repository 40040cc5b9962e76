"""The same training with outlast: it goes on where it was, whatever ends it."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import outlast

torch.manual_seed(7)
pixels, digits = load_digits(return_X_y=True)
images = torch.tensor(pixels / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
loader = DataLoader(TensorDataset(images, torch.tensor(digits)), batch_size=64, shuffle=True)
model = nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(576, 10))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)

state = {"model": model, "optimizer": optimizer, "schedule": schedule, "rng": outlast.RNG()}
with outlast.Run("ckpts/digits", state) as run:
    for epoch in run.range(10, "epoch"):
        for x, y in run.iterate(loader, "batch"):
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
    print(f"loss {loss.item():.6f}")
