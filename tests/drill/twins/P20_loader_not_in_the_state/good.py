"""run.iterate enters the loader in mid-epoch."""

import torch
from torch.utils.data import DataLoader, TensorDataset

import outlast

torch.manual_seed(1)
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
data = TensorDataset(torch.randn(32, 4), torch.randn(32, 1))
loader = DataLoader(data, batch_size=4, shuffle=True)
with outlast.Run("store", {"model": model, "optimizer": optimizer, "rng": outlast.RNG()}, every=3) as run:
    for _ in run.range(3, "epoch"):
        for x, y in run.iterate(loader, "batch"):
            loss = torch.nn.functional.mse_loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with open("result.txt", "w") as file:
        file.write(repr(model.weight.tolist()))
