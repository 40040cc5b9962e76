"""Loops that a save holds up: a stencil in NumPy and the training of a convolutional network in PyTorch."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from bench.states import ALL, State

NAMES = ("stencil", "cnn")
SAYS = {
    "stencil": "NumPy, two float64 fields, five points, 144 MB",
    "cnn": "PyTorch, three convolutions and two dense layers, Adam, 103 MB",
}


class Loop(Protocol):
    """A loop's body and the state that it changes in place."""

    state: State

    def step(self) -> None: ...


class Stencil:
    """Heat on a plane: what the README shows, on a larger field, from one array into the other."""

    def __init__(self, scale: float) -> None:
        side = max(64, int(3000 * scale**0.5))
        rng = np.random.default_rng(7)
        self._fields = {name: rng.random((side, side)) for name in ("u", "v")}
        self.state = State(arrays=self._fields, changing=dict.fromkeys(self._fields, ALL))

    def step(self) -> None:
        for source, target in (("u", "v"), ("v", "u")):
            u, v = self._fields[source], self._fields[target]
            around = u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:]
            v[1:-1, 1:-1] = 0.6 * u[1:-1, 1:-1] + 0.1 * around


class Cnn:
    """A small network whose parameters are large enough that a save takes a while."""

    def __init__(self, scale: float) -> None:
        import torch
        from torch import nn

        torch.manual_seed(7)
        width = max(16, int(1000 * scale))
        convolutions = [self._block(nn, *sizes) for sizes in ((3, 32), (32, 64), (64, 128))]
        dense = nn.Flatten(), nn.Linear(8192, width), nn.ReLU(), nn.Linear(width, 10)
        self._model = nn.Sequential(*convolutions, *dense)
        self._optimizer = torch.optim.Adam(self._model.parameters())
        self._loss = nn.functional.cross_entropy
        self._batch = torch.randn(16, 3, 64, 64), torch.randint(10, (16,))
        self.step()  # makes the moments
        tensors = {name: value.detach() for name, value in self._model.named_parameters()}
        for name, parameter in self._model.named_parameters():
            for kind in ("exp_avg", "exp_avg_sq"):
                tensors[f"adam.{kind}.{name}"] = self._optimizer.state[parameter][kind]
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        self.state = State(arrays=arrays, changing=dict.fromkeys(arrays, ALL), is_torch=True)

    @staticmethod
    def _block(nn: object, width_in: int, width_out: int) -> object:
        return nn.Sequential(nn.Conv2d(width_in, width_out, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))

    def step(self) -> None:
        images, labels = self._batch
        self._optimizer.zero_grad()
        self._loss(self._model(images), labels).backward()
        self._optimizer.step()


def make(name: str, scale: float) -> Loop:
    """Make a loop.

    Raises:
        ImportError: it is one of PyTorch, which is not installed.
    """
    return {"stencil": Stencil, "cnn": Cnn}[name](scale)
