"""P14: the model is saved, the optimizer is not: its momentum begins anew.

drill: kill step:8
cause: optimizer-missing
"""

import os

import torch

torch.manual_seed(1)
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
x, y = torch.randn(16, 4), torch.randn(16, 1)
step = 0
if os.path.exists("model.pt"):
    saved = torch.load("model.pt")
    model.load_state_dict(saved["model"])
    step = saved["step"]
while step < 12:
    loss = torch.nn.functional.mse_loss(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    step += 1
    if step % 3 == 0:
        torch.save({"model": model.state_dict(), "step": step}, "new.pt")
        os.replace("new.pt", "model.pt")
with open("result.txt", "w") as file:
    file.write(repr(model.weight.tolist()))
