"""torch.save, alone or as a careful program does it: synced, and put in place by a rename."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch

from bench.peers.peer import Peer, nothing
from bench.states import State


def tensors(state: State) -> dict[str, torch.Tensor]:
    """Return tensors that share their memory with the state's arrays."""
    return {name: torch.from_numpy(array) for name, array in state.arrays.items()}


class TorchSave(Peer):
    needs: ClassVar[tuple[str, ...]] = ("torch",)

    def __init__(self, state: State, folder: str, *, replace: bool = False) -> None:
        super().__init__(state, folder)
        self._tensors = tensors(state)
        self.syncs = replace

    def write(self, path: str) -> Callable[[], float | None]:
        target = os.path.join(path, "state.pt")
        if self.syncs:
            _replace(self._tensors, target)
        else:
            torch.save(self._tensors, target)
        return nothing

    def read(self, path: str) -> Mapping[str, Any]:
        return torch.load(os.path.join(path, "state.pt"), weights_only=True)


def _replace(state: dict[str, torch.Tensor], target: str) -> None:
    with open(f"{target}.tmp", "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{target}.tmp", target)
    for folder in (os.path.dirname(target), os.path.dirname(os.path.dirname(target))):
        at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(at)
        os.close(at)


PEER = TorchSave
