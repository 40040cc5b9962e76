"""A PyTorch training for the tests: `torch_program.py STORE WORKERS HOLD`. Prints each batch's indices."""

import random
import sys
from itertools import count

import numpy as np
import torch
from holding import hold
from torch.utils.data import DataLoader, Dataset

import outlast

store, workers, held = sys.argv[1], int(sys.argv[2]), sys.argv[3]
printed = count(1)


class Noisy(Dataset):
    """Samples with random augmentation, drawn wherever the sample is loaded."""

    def __len__(self):
        return 64

    def __getitem__(self, index):
        return torch.full((8,), float(index)) + torch.randn(8), index


random.seed(1)
np.random.seed(1)  # noqa: NPY002
torch.manual_seed(1)
torch.set_num_threads(1)
model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1))
optimizer = torch.optim.Adam(model.parameters())
schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)
loader = DataLoader(Noisy(), batch_size=4, shuffle=True, num_workers=workers)
state = {"model": model, "optimizer": optimizer, "schedule": schedule, "rng": outlast.RNG()}
with outlast.Run(store, state, every=5) as run:
    for epoch in run.range(3, "epoch"):
        for x, index in run.iterate(loader, "batch"):
            optimizer.zero_grad()
            loss = model(x).square().mean()
            loss.backward()
            optimizer.step()
            run.log(loss=loss.item())
            print(epoch, *index.tolist(), flush=True)
            hold(held, next(printed))
        schedule.step()
