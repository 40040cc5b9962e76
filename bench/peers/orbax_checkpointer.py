"""Orbax, with NumPy arrays, which it copies, or with JAX arrays, which cannot change and are kept by reference."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import jax
import orbax.checkpoint as ocp

from bench.peers.peer import Peer, nothing
from bench.states import State


class Orbax(Peer):
    needs: ClassVar[tuple[str, ...]] = ("orbax-checkpoint", "jax")

    def __init__(self, state: State, folder: str, *, is_async: bool = False, in_jax: bool = False) -> None:
        super().__init__(state, folder)
        jax.config.update("jax_enable_x64", True)
        self.has_own_arrays = in_jax
        self._is_async = is_async
        self._leaves: dict[str, Any] = dict(state.arrays)
        kind = ocp.AsyncCheckpointer if is_async else ocp.Checkpointer
        self._saver = kind(ocp.StandardCheckpointHandler())
        if in_jax:
            self._leaves = {name: jax.numpy.array(array) for name, array in state.arrays.items()}

    def refresh(self, names: Iterable[str]) -> None:
        if self.has_own_arrays:
            for name in names:
                self._leaves[name] = jax.numpy.array(self.state.arrays[name]).block_until_ready()

    def write(self, path: str) -> Callable[[], float | None]:
        self._saver.save(os.path.join(path, "state"), args=ocp.args.StandardSave(self._leaves))
        return self._saver.wait_until_finished if self._is_async else nothing

    def read(self, path: str) -> Mapping[str, Any]:
        return self._saver.restore(os.path.join(path, "state"), args=ocp.args.StandardRestore(self._leaves))

    def end(self) -> None:
        self._saver.close()


PEER = Orbax
