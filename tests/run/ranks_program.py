"""A training on several ranks: `ranks_program.py STORE ddp|fsdp|plain EPOCHS`. Says each batch's first index and loss.

With PLAIN=1 nothing in it is a rank's own. FAIL_AT has the last rank fail after that step. HOLD is a file of the test's
(holding.py): a rank that has said so many batches waits, until it is told to leave or let go.
"""

import json
import os
import random
import sys
from itertools import count

import numpy as np
import torch
from holding import hold
from sklearn.datasets import load_digits
from torch import distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

import outlast

store, kind, epochs = sys.argv[1], sys.argv[2], int(sys.argv[3])
rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
dist.init_process_group("gloo", init_method=f"file://{os.environ['RENDEZVOUS']}", rank=rank, world_size=world)


def say(**told):
    print(json.dumps(told), flush=True)


images, labels = load_digits(return_X_y=True)
data = TensorDataset(torch.arange(len(labels)), torch.tensor(images, dtype=torch.float32) / 16, torch.tensor(labels))
sampler = DistributedSampler(data, world, rank, shuffle=True)
loader = DataLoader(data, batch_size=128, sampler=sampler)
torch.manual_seed(1)
is_plain = "PLAIN" in os.environ
own = [] if is_plain else [torch.nn.BatchNorm1d(50), torch.nn.Dropout(0.2)]
model = torch.nn.Sequential(torch.nn.Linear(64, 50), torch.nn.ReLU(), torch.nn.Linear(50, 10))
if own:
    model = torch.nn.Sequential(torch.nn.Linear(64, 50), own[0], torch.nn.ReLU(), own[1], torch.nn.Linear(50, 10))
if kind == "ddp":
    model = DistributedDataParallel(model)
elif kind == "fsdp":
    fully_shard(model, mesh=init_device_mesh("cpu", (world,)))
torch.manual_seed(100 + rank)  # dropout is each rank's own
random.seed(rank)
np.random.seed(rank)  # noqa: NPY002
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)
state = {"model": model, "optimizer": optimizer, "schedule": schedule}
if not is_plain:
    state |= {"rng": outlast.RNG(), "rank": rank}
every = os.environ.get("EVERY", "5")
held, said = os.environ.get("HOLD", ""), count(1)
with outlast.Run(store, state, every=int(every) if every.isdecimal() else every, keep=2) as run:
    say(attempt=run.attempt, pid=os.getpid())
    for epoch in run.range(epochs, "epoch"):
        sampler.set_epoch(epoch)
        for index, x, y in run.iterate(loader, "batch"):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            run.log(loss=loss.item())
            say(epoch=epoch, first=int(index[0]), loss=loss.item())
            hold(held, next(said), lambda: run._notice.reason is not None)
            if run.step == int(os.environ.get("FAIL_AT", "-1")) and rank == world - 1:
                raise SystemExit(7) if "LEAVE" in os.environ else ValueError("as asked")
        schedule.step()
dist.destroy_process_group()
