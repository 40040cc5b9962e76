"""Programs for `test_dcp`, each rank a process of the nursery: `dcp_program.py WHAT STORE [STEPS ...]`."""

import json
import os
import sys
import warnings

import torch
from torch import distributed as dist
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint import state_dict as states
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from outlast.integrations.dcp import StorageReader, StorageWriter, load

what, store, *more = sys.argv[1:]
rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
dist.init_process_group("gloo", init_method=f"file://{os.environ['RENDEZVOUS']}", rank=rank, world_size=world)


def say(**told):
    print(json.dumps({"rank": rank, **told}), flush=True)


def trained(steps):
    """A model that is sharded over all ranks, and its optimizer, after so many steps of the same data everywhere."""
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(6, 7), torch.nn.Tanh(), torch.nn.Linear(7, 3))
    fully_shard(model, mesh=init_device_mesh("cpu", (world,)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for step in range(steps):
        torch.manual_seed(step)
        optimizer.zero_grad()
        model(torch.randn(8, 6)).square().mean().backward()
        optimizer.step()
    return model, optimizer


def described(model, optimizer):
    parts = dict(zip(("model", "optimizer"), states.get_state_dict(model, optimizer), strict=True))
    return parts | {"plain": {"step": 7, "names": ["a", "b"], "lr": 0.5}}


def whole(state):
    """The state's tensors as they are when put together, as numbers."""
    flat, stack = {}, [("", state)]
    while stack:
        path, node = stack.pop()
        if isinstance(node, dict):
            stack.extend((f"{path}/{key}", value) for key, value in node.items())
        elif isinstance(node, torch.Tensor):
            node = node.full_tensor() if hasattr(node, "full_tensor") else node
            flat[path] = node.tolist()
    return dict(sorted(flat.items()))


def save(writer, state, step):
    dcp.save(state, checkpoint_id=step, storage_writer=writer)


if what == "save":
    with StorageWriter(store) as writer:
        for steps in map(int, more):
            state = described(*trained(steps))
            save(writer, state, steps)
    say(state=whole(state))
elif what == "load":
    model, optimizer = trained(0)
    state = described(model, optimizer)
    state["plain"] = {"step": 0, "names": [], "lr": 0.0}
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        step = load(state, store)
    say(step=step, plain=state["plain"], state=whole(state), heard=[str(one.message) for one in heard])
elif what == "strict":
    try:
        dcp.load(described(*trained(0)), storage_reader=StorageReader(store))
    except dcp.api.CheckpointException as e:
        say(kinds=sorted({type(one[0]).__name__ for one in e.failures.values()}), text=str(e))
elif what == "killed":
    with StorageWriter(store) as writer:
        save(writer, described(*trained(1)), 1)
        if rank == world - 1:
            from outlast.store import PartWriter

            PartWriter.write = lambda *_: os.kill(os.getpid(), 9)
        try:
            save(writer, described(*trained(2)), 2)
        except Exception as e:
            say(raised=type(e).__name__)
    os._exit(0)
elif what == "async":
    with StorageWriter(store) as writer:
        model, optimizer = trained(3)
        state = described(model, optimizer)
        then = whole(state)
        future = dcp.async_save(state, checkpoint_id=3, storage_writer=writer)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
        future.result()
    say(state=then)
elif what == "fenced":
    writer = StorageWriter(store)
    save(writer, {"x": torch.ones(3)}, 1)
    other = StorageWriter(store, takeover=True)
    save(other, {"x": torch.zeros(3)}, 2)
    try:
        save(writer, {"x": torch.ones(3)}, 3)
    except dcp.api.CheckpointException as e:
        say(kinds=sorted({type(one[0]).__name__ for one in e.failures.values()}))
    other.close()
elif what == "unsafe":
    try:
        save(StorageWriter(store), {"x": torch.ones(3), "y": print}, 1)
    except dcp.api.CheckpointException as e:
        say(text=str(e))
dist.barrier() if what != "killed" else None
dist.destroy_process_group()
