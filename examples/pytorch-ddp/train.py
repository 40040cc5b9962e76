"""A training on several ranks (DDP): torchrun --standalone --nproc-per-node 2 train.py"""

import torch
from sklearn.datasets import load_digits
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

import outlast

distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
rank = distributed.get_rank()
device = torch.device("cuda", rank % torch.cuda.device_count()) if torch.cuda.is_available() else torch.device("cpu")
pixels, digits = load_digits(return_X_y=True)
images = torch.tensor(pixels / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
data = TensorDataset(images, torch.tensor(digits))
sampler = DistributedSampler(data)
loader = DataLoader(data, batch_size=64, sampler=sampler)

torch.manual_seed(7)
model = nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(576, 10)).to(device)
model = DistributedDataParallel(model)
torch.manual_seed(7 + rank)  # dropout is each rank's own
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)

state = {"model": model, "optimizer": optimizer, "schedule": schedule, "rng": outlast.RNG()}
with outlast.Run("ckpts/digits", state) as run:
    for epoch in run.range(10, "epoch"):
        sampler.set_epoch(epoch)
        for x, y in run.iterate(loader, "batch"):
            loss = nn.functional.cross_entropy(model(x.to(device)), y.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
    if rank == 0:
        print(f"loss {loss.item():.6f}")
distributed.destroy_process_group()
