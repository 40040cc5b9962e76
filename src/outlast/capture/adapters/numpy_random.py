"""NumPy's random generators: objects of every kind, seed sequences, and the global one."""

from __future__ import annotations

from typing import Any

import numpy as np

from outlast.capture.adapter import Adapter, GlobalRng
from outlast.format.model import Node

_BIT_GENERATORS = {
    cls.__name__: cls
    for cls in (np.random.MT19937, np.random.PCG64, np.random.PCG64DXSM, np.random.Philox, np.random.SFC64)
}


class BitGeneratorAdapter(Adapter):
    """The bit generators, with the seed sequence that `spawn` draws from."""

    name = "numpy.BitGenerator"
    types = (np.random.BitGenerator,)
    restored_last = True
    buildable = True

    def lower(self, value: Any) -> Any:
        sequence = value.seed_seq
        seed = sequence if isinstance(sequence, np.random.SeedSequence) else None
        return {"bits": value.state, "seed": seed}

    def restore(self, value: Any, saved: Any) -> Any:
        seed = saved["seed"]
        if seed is None or seed is value.seed_seq:
            value.state = saved["bits"]
        else:
            value.__setstate__((saved["bits"], seed))
        return value

    def build(self, saved: Any) -> Any:
        return self.restore(_BIT_GENERATORS[saved["bits"]["bit_generator"]](), saved)

    def compare(self, value: Any, state: Node) -> str:
        saved, live = state["bits"]["bit_generator"], type(value).__name__
        return "" if saved == live else f"saved from the bit generator {saved}, the program has {live}"


_SEED = ("entropy", "spawn_key", "pool_size")


class SeedSequenceAdapter(Adapter):
    """A seed sequence: the live one goes on where the saved one stood, if both began alike; else a new one does."""

    name = "numpy.SeedSequence"
    types = (np.random.SeedSequence,)
    buildable = True

    def lower(self, value: Any) -> Any:
        return value.state

    def restore(self, value: Any, saved: Any) -> Any:
        live = value.state
        ahead = saved["n_children_spawned"] - live["n_children_spawned"]
        if ahead < 0 or not all(np.array_equal(live[name], saved[name]) for name in _SEED):
            return self.build(saved)
        value.spawn(ahead)  # the only way to make it count on
        return value

    def build(self, saved: Any) -> Any:
        return np.random.SeedSequence(
            saved["entropy"],
            spawn_key=saved["spawn_key"],
            pool_size=saved["pool_size"],
            n_children_spawned=saved["n_children_spawned"],
        )


class GeneratorAdapter(Adapter):
    """`np.random.Generator`: its bit generator's state."""

    name = "numpy.Generator"
    types = (np.random.Generator,)
    restored_last = True
    buildable = True

    def lower(self, value: Any) -> Any:
        return _BITS.lower(value.bit_generator)

    def restore(self, value: Any, saved: Any) -> Any:
        _BITS.restore(value.bit_generator, saved)
        return value

    def build(self, saved: Any) -> Any:
        return np.random.Generator(_BITS.build(saved))

    def compare(self, value: Any, state: Node) -> str:
        return _BITS.compare(value.bit_generator, state)


class RandomStateAdapter(Adapter):
    """The legacy generator object."""

    name = "numpy.RandomState"
    types = (np.random.RandomState,)
    restored_last = True
    buildable = True

    def lower(self, value: Any) -> Any:
        return value.get_state(legacy=False)

    def restore(self, value: Any, saved: Any) -> Any:
        value.set_state(saved)
        return value

    def build(self, saved: Any) -> Any:
        return self.restore(np.random.RandomState(_BIT_GENERATORS[saved["bit_generator"]]()), saved)


class NumpyRng(GlobalRng):
    """The functions of `numpy.random`."""

    name = "numpy"

    def capture(self) -> Any:
        return np.random.get_state(legacy=False)  # noqa: NPY002  (the legacy state is the point)

    def restore(self, saved: Any) -> None:
        np.random.set_state(saved)  # noqa: NPY002


_BITS = BitGeneratorAdapter()
GENERATORS = (_BITS, SeedSequenceAdapter(), GeneratorAdapter(), RandomStateAdapter(), NumpyRng())
