"""The optimizer is in the state."""

import torch

import outlast

torch.manual_seed(1)
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
x, y = torch.randn(16, 4), torch.randn(16, 1)
with outlast.Run("store", {"model": model, "optimizer": optimizer}, every=3) as run:
    for _ in run.steps(12):
        loss = torch.nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with open("result.txt", "w") as file:
        file.write(repr(model.weight.tolist()))
