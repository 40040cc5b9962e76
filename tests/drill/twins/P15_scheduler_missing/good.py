"""Whatever moves is saved."""

import os

import torch

torch.manual_seed(1)
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
x, y = torch.randn(16, 4), torch.randn(16, 1)
parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
epoch = 0
if os.path.exists("model.pt"):
    saved = torch.load("model.pt")
    for name, part in parts.items():
        part.load_state_dict(saved[name])
    epoch = saved["epoch"]
while epoch < 12:
    loss = torch.nn.functional.mse_loss(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    scheduler.step()
    epoch += 1
    if epoch % 3 == 0:
        torch.save({name: part.state_dict() for name, part in parts.items()} | {"epoch": epoch}, "new.pt")
        os.replace("new.pt", "model.pt")
    print(f"epoch {epoch} loss={loss.item():.9f}")
with open("result.txt", "w") as file:
    file.write(repr(model.weight.tolist()))
