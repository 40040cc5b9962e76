"""safetensors: with its functions for tensors where the state holds tensors, else with those for NumPy arrays."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from safetensors import numpy as for_numpy

from bench.peers.peer import Peer, nothing
from bench.states import State


class Safetensors(Peer):
    needs: ClassVar[tuple[str, ...]] = ("safetensors",)

    def __init__(self, state: State, folder: str) -> None:
        super().__init__(state, folder)
        self._functions: Any = for_numpy
        self._leaves: dict[str, Any] = dict(state.arrays)
        if state.is_torch:
            from safetensors import torch as for_torch

            from bench.peers.torch_save import tensors

            self._functions, self._leaves = for_torch, tensors(state)
            self.is_lazy = True

    def write(self, path: str) -> Callable[[], float | None]:
        self._functions.save_file(self._leaves, os.path.join(path, "state.safetensors"))
        return nothing

    def read(self, path: str) -> Mapping[str, Any]:
        return self._functions.load_file(os.path.join(path, "state.safetensors"))


PEER = Safetensors
