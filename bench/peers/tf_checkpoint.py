"""tf.train.Checkpoint over one variable a leaf."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import tensorflow as tf

from bench.peers.peer import Peer, nothing
from bench.states import State


class Checkpoint(Peer):
    needs: ClassVar[tuple[str, ...]] = ("tensorflow-cpu", "tensorflow")
    in_place: ClassVar[bool] = True

    def __init__(self, state: State, folder: str) -> None:
        super().__init__(state, folder)
        self.has_own_arrays = True
        self._leaves = {name: tf.Variable(array) for name, array in state.arrays.items()}
        self._checkpoint = tf.train.Checkpoint(leaves=list(self._leaves.values()))

    def refresh(self, names: Iterable[str]) -> None:
        for name in names:
            self._leaves[name].assign(self.state.arrays[name])

    def write(self, path: str) -> Callable[[], float | None]:
        self._checkpoint.write(os.path.join(path, "state"))
        return nothing

    def read(self, path: str) -> Mapping[str, Any]:
        self._checkpoint.read(os.path.join(path, "state")).assert_existing_objects_matched()
        return self._leaves


PEER = Checkpoint
