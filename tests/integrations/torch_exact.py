"""Trainings on scikit-learn's digits, each with another part of PyTorch, killed again and again.

To be called with a folder, the number of kills and the names of trainings. This process imports, and computes nothing:
each attempt is a child that it forks. For each training it prints how the attempts ended, and what in the end is not
as in an undisturbed one.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch._dynamo  # what making an optimizer imports: once, not in every child
from sklearn.datasets import load_digits
from torch import nn
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler
from torchdata.stateful_dataloader import StatefulDataLoader

import outlast

KILLS = int(sys.argv[2])
LONGEST = 7 if KILLS < 7 else 2  # steps of an attempt that is killed
BATCHES = 8
EPOCHS = max(3, -(-(KILLS * LONGEST + 1) // BATCHES))  # so long that every kill is inflicted
STEPS = EPOCHS * BATCHES
_PIXELS, _DIGITS = load_digits(return_X_y=True)
X = torch.from_numpy((_PIXELS[:256] / 16).astype(np.float32)).reshape(-1, 1, 8, 8)
Y = torch.from_numpy(_DIGITS[:256])
DATA = TensorDataset(X, Y, torch.arange(256))


class Net(nn.Module):
    """A small convolutional network, with what has a state of its own: running means, and random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2))
        self.head = nn.Linear(144, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x))


@dataclass
class Training:
    """What one of the trainings is made of.

    Attributes:
        step: takes a loss, and does what follows it.
        after_epoch: what is done between the epochs.
        state: more components.
    """

    model: nn.Module
    loader: Any
    step: Callable[[torch.Tensor], None]
    after_epoch: Callable[[], None] = lambda: None
    state: dict[str, Any] = field(default_factory=dict)


def loader(**options: Any) -> DataLoader[Any]:
    return DataLoader(DATA, batch_size=32, **({"shuffle": True} | options))


def plain(optimizer: Callable[..., Any], **options: Any) -> Callable[[], Training]:
    """Make a training with this optimizer."""

    def make() -> Training:
        model = Net()
        made = optimizer(model.parameters(), **options)

        def step(loss: torch.Tensor) -> None:
            made.zero_grad()
            loss.backward()
            made.step()

        return Training(model, loader(), step, state={"optimizer": made})

    return make


def scheduled(make_schedule: Callable[[Any], Any], *, each_batch: bool = False) -> Callable[[], Training]:
    def make() -> Training:
        training = plain(torch.optim.SGD, lr=0.05, momentum=0.9, nesterov=True)()
        schedule = make_schedule(training.state["optimizer"])
        training.state["schedule"] = schedule
        if each_batch:
            step = training.step
            training.step = lambda loss: (step(loss), schedule.step())[0]
        elif isinstance(schedule, lr_scheduler.ReduceLROnPlateau):
            training.after_epoch = lambda: schedule.step(float(next(training.model.parameters()).abs().sum()))
        else:
            training.after_epoch = schedule.step
        return training

    return make


def groups() -> Training:
    """Parameters in groups, each with a rate of its own."""
    model = Net()
    optimizer = torch.optim.AdamW(
        [{"params": model.features.parameters(), "lr": 1e-3}, {"params": model.head.parameters(), "weight_decay": 0.1}],
        lr=3e-3,
        amsgrad=True,
    )

    def step(loss: torch.Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return Training(model, loader(), step, state={"optimizer": optimizer})


def per_parameter() -> Training:
    """An optimizer for each parameter, which steps as soon as its gradient is there."""
    model = Net()
    optimizers = {name: torch.optim.Adam([one], lr=3e-3) for name, one in model.named_parameters()}
    names = {one: name for name, one in model.named_parameters()}

    def ready(parameter: torch.Tensor) -> None:
        optimizers[names[parameter]].step()
        optimizers[names[parameter]].zero_grad()

    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(ready)
    return Training(model, loader(), lambda loss: loss.backward(), state={"optimizers": optimizers})


def scaled() -> Training:
    """Mixed precision: a scaler that grows, and shrinks when a gradient is not finite."""
    training = plain(torch.optim.Adam, lr=3e-3)()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**30, growth_interval=3)
    optimizer = training.state["optimizer"]

    def step(loss: torch.Tensor) -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.float16):
            scaled_loss = scaler.scale(loss)
        scaled_loss.backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(training.model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()

    training.step = step
    training.state["scaler"] = scaler
    return training


def averaged() -> Training:
    """An exponential moving average of the weights beside them."""
    training = plain(torch.optim.Adam, lr=3e-3)()
    ema = AveragedModel(training.model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    step = training.step

    def both(loss: torch.Tensor) -> None:
        step(loss)
        ema.update_parameters(training.model)

    training.step = both
    training.state["ema"] = ema
    return training


def compiled() -> Training:
    training = plain(torch.optim.Adam, lr=3e-3)()
    training.model = torch.compile(training.model, backend="eager")
    return training


def fed(make_loader: Callable[[], Any]) -> Callable[[], Training]:
    def make() -> Training:
        training = plain(torch.optim.Adam, lr=3e-3)()
        training.loader = make_loader()
        return training

    return make


class Halves(torch.utils.data.Sampler[list[int]]):
    """Batches of a sampler of one's own, drawn from NumPy's generator."""

    def __len__(self) -> int:
        return BATCHES

    def __iter__(self):
        order = np.random.permutation(256)  # noqa: NPY002
        return iter(order.reshape(BATCHES, -1).tolist())


TRAININGS: dict[str, Callable[[], Training]] = {
    "sgd-foreach": plain(torch.optim.SGD, lr=0.05, momentum=0.9, foreach=True),
    "adam-fused": plain(torch.optim.Adam, lr=3e-3, fused=True),
    "adamw-foreach": plain(torch.optim.AdamW, lr=3e-3, foreach=True, amsgrad=True),
    "adagrad": plain(torch.optim.Adagrad, lr=1e-2),
    "rprop": plain(torch.optim.Rprop),
    "groups": groups,
    "per-parameter": per_parameter,
    "one-cycle": scheduled(lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=STEPS), each_batch=True),
    "cosine-restarts": scheduled(lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 5), each_batch=True),
    "plateau": scheduled(lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0, threshold=0.5)),
    "warm-up": scheduled(
        lambda o: lr_scheduler.SequentialLR(
            o, [lr_scheduler.LinearLR(o, 0.1, total_iters=6), lr_scheduler.ExponentialLR(o, 0.9)], milestones=[6]
        ),
        each_batch=True,
    ),
    "scaler": scaled,
    "ema": averaged,
    "compiled": compiled,
    "workers": fed(lambda: loader(num_workers=4)),
    "persistent-workers": fed(lambda: loader(num_workers=2, persistent_workers=True)),
    "weighted": fed(
        lambda: loader(shuffle=False, sampler=WeightedRandomSampler([1.0 + i % 3 for i in range(256)], 256))
    ),
    "batch-sampler": fed(lambda: DataLoader(DATA, batch_sampler=Halves())),
    "stateful": fed(lambda: StatefulDataLoader(DATA, batch_size=32, shuffle=True)),
    "stateful-workers": fed(lambda: StatefulDataLoader(DATA, batch_size=32, shuffle=True, num_workers=4)),
}


def train(store: Path, name: str, strike: tuple[int, int] | None) -> None:
    """Train to the end, or to the step at which a signal comes; one line for each step goes into STORE.steps."""
    torch.set_num_threads(1)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    training = TRAININGS[name]()
    state = {"model": training.model, "rng": outlast.RNG(), "losses": [], **training.state}
    done = 0
    with outlast.Run(store, state, every=3) as run, open(f"{store}.steps", "a") as steps:
        for _ in run.range(EPOCHS, "epoch"):
            for x, y, index in run.iterate(training.loader, "batch"):
                loss = nn.functional.cross_entropy(training.model(x), y)
                training.step(loss)
                state["losses"].append(loss.item())
                steps.write(f"{len(state['losses']) - 1} {hashlib.sha1(bytes(index.tolist())).hexdigest()}\n")
                steps.flush()
                done += 1
                if strike and done == strike[0]:
                    os.kill(os.getpid(), strike[1])
            training.after_epoch()


def attempt(store: Path, name: str, strike: tuple[int, int] | None = None) -> int:
    """Have a child train. Returns its exit status, negative for a signal."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    status = 70
    try:
        os.setsid()
        quiet = os.open(f"{store}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        train(store, name, strike)
        status = 0
    except SystemExit as e:
        status = e.code
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def result(path: Path) -> dict[str, Any]:
    store = outlast.Store(path)
    manifest = store.manifest(store.checkpoints()[0])
    with store.source(manifest) as source:
        leaves = {leaf.path: hashlib.sha256(source.read(leaf.path)).hexdigest() for leaf in manifest.leaves}
    samples = dict(line.split() for line in Path(f"{path}.steps").read_text().splitlines())  # the last of each step
    return {"leaves": leaves, "tree": manifest.tree, "done": manifest.done, "step": manifest.step, "samples": samples}


def wounded(store: Path, name: str) -> list[int]:
    """Train with kills and notices at random steps, then to the end. Returns how the attempts ended."""
    draws = random.Random(f"{name} {KILLS}")
    strikes = [(draws.randint(1, LONGEST), draws.choice([signal.SIGKILL, signal.SIGTERM])) for _ in range(KILLS)]
    return [attempt(store, name, strike) for strike in [*strikes, None]]


def main() -> None:
    folder = Path(sys.argv[1])
    for name in sys.argv[3:]:
        first = attempt(folder / f"{name}-undisturbed", name)
        ends = wounded(folder / name, name)
        expected, found = result(folder / f"{name}-undisturbed"), result(folder / name)
        differ = sorted(key for key in expected if expected[key] != found[key])
        leaves = [path for path, digest in expected["leaves"].items() if found["leaves"].get(path) != digest]
        said = {
            "name": name,
            "first": first,
            "ends": ends,
            "differ": differ,
            "leaves": leaves,
            "left": STEPS - found["step"],
        }
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
