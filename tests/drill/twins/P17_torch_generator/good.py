"""outlast.RNG() stands for the global generators."""

import torch

import outlast

torch.manual_seed(1)
model = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.Dropout(0.5), torch.nn.Linear(16, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
x, y = torch.randn(16, 4), torch.randn(16, 1)
with outlast.Run("store", {"model": model, "optimizer": optimizer, "rng": outlast.RNG()}, every=3) as run:
    for _ in run.steps(12):
        loss = torch.nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with open("result.txt", "w") as file:
        file.write(repr(model[0].weight.tolist()))
