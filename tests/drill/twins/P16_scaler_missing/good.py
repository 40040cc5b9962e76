"""The scaler is in the state."""

import torch

import outlast

torch.manual_seed(1)
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
scaler = torch.amp.GradScaler("cpu", init_scale=2.0, growth_factor=3.0, growth_interval=2)
x, y = torch.randn(16, 4), torch.randn(16, 1)
with outlast.Run("store", {"model": model, "optimizer": optimizer, "scaler": scaler}, every=3) as run:
    for _ in run.steps(12):
        loss = torch.nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    with open("result.txt", "w") as file:
        file.write(f"{model.weight.tolist()} {scaler.get_scale()}")
