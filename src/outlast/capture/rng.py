"""Random state: the process-wide generators as one component, and `random.Random`."""

from __future__ import annotations

import contextlib
import importlib
import random
import struct
from typing import Any

from outlast.capture import objects
from outlast.capture.adapter import Adapter, Fixed, GlobalRng, Refused
from outlast.capture.registry import Registry
from outlast.capture.values import class_name
from outlast.format.model import Node

_LIBRARIES = (
    "numpy",
    "torch",
    "tensorflow",
    "keras",
)  # whose generators a restore may bring in; never a name from a file
_WORDS = 625
_PACKED = struct.Struct(f"<{_WORDS}I")


class RNG:
    """Marks a component that stands for the global generators.

    They are those of `random`, of NumPy's legacy interface and of PyTorch (CPU and every CUDA device in
    use), as far as the program has imported these libraries.
    """

    __slots__ = ()


class RngAdapter(Adapter):
    """Lowers the marker to the state of every library's generator."""

    name = "rng"
    types = (RNG,)
    exact_keys = True
    may_grow = True
    restored_last = True

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def lower(self, value: Any) -> Any:  # noqa: ARG002
        return {rng.name: rng.capture() for rng in self._registry.rngs()}

    def restore(self, value: Any, saved: Any) -> Any:
        for rng in self._registry.rngs():
            if rng.name in saved:
                rng.restore(saved[rng.name])
        return value

    def compare(self, value: Any, state: Node) -> str:  # noqa: ARG002
        for name in _LIBRARIES:
            if name in state and name not in self._known():
                _imported(name)
                self._registry.refresh()
        lacking = sorted(name for name in state if name not in self._known())
        if not lacking:
            return ""
        return f"saved with the generator of {', '.join(lacking)}: import it before restoring"

    def _known(self) -> set[str]:
        return {rng.name for rng in self._registry.rngs()}


def _imported(name: str) -> None:
    """Import a library that the program imports only later: its generator must stand when that draws from it."""
    with contextlib.suppress(ImportError):  # then it is told to be lacking
        importlib.import_module(name)


class PythonRng(GlobalRng):
    """The functions of the module `random`."""

    name = "python"

    def capture(self) -> Any:
        return packed(random.getstate())

    def restore(self, saved: Any) -> None:
        random.setstate(unpacked(saved))


class RandomAdapter(Adapter):
    """`random.Random` and its subclasses that keep to its state."""

    name = "random.Random"
    types = (random.Random,)
    restored_last = True
    same_class = True

    def lower(self, value: Any) -> Any:
        if isinstance(value, random.SystemRandom):  # the operating system's entropy: no state
            return Fixed("random.SystemRandom")
        own = objects.attributes(value).keys() - {"gauss_next"}
        if own:
            what = f"is a {class_name(type(value))} with attributes of its own ({', '.join(sorted(own))})"
            raise Refused(what, objects.REGISTER)
        return packed(value.getstate())

    def restore(self, value: Any, saved: Any) -> Any:
        value.setstate(unpacked(saved))
        return value


def packed(state: tuple[Any, ...]) -> dict[str, Any]:
    """Return the state of `random` in few bytes: 2,500 instead of 625 numbers."""
    version, words, gauss = state
    return {"version": version, "words": _PACKED.pack(*words), "gauss": gauss}


def unpacked(saved: dict[str, Any]) -> tuple[Any, ...]:
    """Return the state as `random.setstate` wants it."""
    return saved["version"], _PACKED.unpack(saved["words"]), saved["gauss"]
