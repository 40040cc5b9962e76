"""P16: the gradient scaler is not saved: its scale begins anew.

drill: kill step:8
cause: scaler-missing
"""

import os

import torch

torch.manual_seed(1)
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
scaler = torch.amp.GradScaler("cpu", init_scale=2.0, growth_factor=3.0, growth_interval=2)
x, y = torch.randn(16, 4), torch.randn(16, 1)
step = 0
if os.path.exists("model.pt"):
    saved = torch.load("model.pt")
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    step = saved["step"]
while step < 12:
    loss = torch.nn.functional.mse_loss(model(x), y)
    optimizer.zero_grad()
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    step += 1
    if step % 3 == 0:
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}, "new.pt")
        os.replace("new.pt", "model.pt")
    print(f"step {step} loss={loss.item():.9f}")
with open("result.txt", "w") as file:
    file.write(f"{model.weight.tolist()} {scaler.get_scale()}")
