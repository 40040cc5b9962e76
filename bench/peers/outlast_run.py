"""outlast itself, through what a user holds: `outlast.Run`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

import outlast
from bench.peers.peer import Peer
from bench.states import State

_NEVER = 10**9  # steps
_KEEP = 2
_KEEP_SMALL = 10  # where little changes: as many checkpoints lean on one whole one as outlast allows


class Outlast(Peer):
    needs: ClassVar[tuple[str, ...]] = ("outlast", "xxhash")
    syncs: bool = True
    in_place: ClassVar[bool] = True
    leaves_out: ClassVar[bool] = True

    def __init__(
        self, state: State, folder: str, *, snapshot: str = "", reuse: bool = False, in_jax: bool = False
    ) -> None:
        super().__init__(state, folder)
        self._options = _options(snapshot=snapshot, reuse=reuse)
        is_small = state.changing_bytes < state.size_bytes
        self._keep = _KEEP_SMALL if is_small else _KEEP
        self.has_own_arrays = in_jax
        self._leaves = {name: _in_jax(array) for name, array in state.arrays.items()} if in_jax else _leaves(state)
        self._run: outlast.Run
        self.warm_ups = self._keep + 1 if reuse and not is_small else 1

    def refresh(self, names: Iterable[str]) -> None:
        if self.has_own_arrays:
            self._leaves |= {name: _in_jax(self.state.arrays[name]) for name in names}

    def begin(self) -> None:
        self._run = outlast.Run(self.folder, {"state": self._leaves}, every=_NEVER, keep=self._keep, **self._options)
        self._run.__enter__()

    def save(self) -> Callable[[], float | None]:
        self._run.due()  # outside of the run's loops this counts a step
        self._run.save()
        return self._wait

    def _wait(self) -> float | None:
        """Wait, and return how long it took after `save` returned, a forked child's copying included."""
        self._run.wait()
        saver = self._run._saver  # noqa: SLF001  (no user needs to know it so exactly)
        return saver.latency_s[-1] - saver.blocked_s[-1]

    def restore(self) -> Mapping[str, Any]:
        """Enter the run: claim it, check that the state fits, fill it. All of it is measured."""
        self.begin()
        return self._leaves

    def prune(self) -> None:
        """The run does it."""

    def end(self) -> None:
        """Leave as a program that is killed does: nothing is marked done."""
        enough = InterruptedError("enough was measured")
        self._run.__exit__(type(enough), enough, None)


def _options(*, snapshot: str, reuse: bool) -> dict[str, Any]:
    """Return the run's options.

    Raises:
        ImportError: this version does not have them.
    """
    known = inspect.signature(outlast.Run).parameters
    options: dict[str, Any] = {}
    if snapshot:
        options["snapshot"] = snapshot
    if reuse:
        options["io"] = outlast.IO(reuse=True) if hasattr(outlast, "IO") else None
    missing = [name for name in options if name not in known]
    if missing:
        raise ImportError(f"this outlast has no {missing[0]}= yet")
    return options


def _leaves(state: State) -> dict[str, Any]:
    """Return what a program would hold: tensors where it is one of PyTorch, if that is installed."""
    if not state.is_torch:
        return state.arrays
    try:
        from bench.peers.torch_save import tensors
    except ImportError:
        return state.arrays
    return dict(tensors(state))


def _in_jax(array: np.ndarray) -> Any:
    import jax

    jax.config.update("jax_enable_x64", True)
    return jax.numpy.array(array).block_until_ready()


PEER = Outlast
