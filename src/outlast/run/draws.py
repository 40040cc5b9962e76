"""The random generators that an order is drawn from: their states taken, packed and put back.

Generators are known by a label that is the same in every attempt: "torch", "random" and "numpy" for the global
ones, the way to it for one that a loader or sampler owns. Libraries that the program has not imported are left
alone.
"""

from __future__ import annotations

import _random
import functools
import random
import sys
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import FunctionType, MethodType, ModuleType
from typing import Any

from outlast.format.model import Node
from outlast.run.packing import pack, unpack

_DEEPEST = 6
_WIDEST = 64
_MOST = 2000  # objects that may hold others; numbers, texts and arrays do not count
_LIBRARIES = frozenset({"torch", "numpy", "torchdata", "torchvision", "outlast"})
_TWISTER_BYTES = 4 * 624 + 4  # numpy's mt19937_state: the words and the place
_PLAIN = (int, float, complex, str, bytes, bytearray, type(None))


@dataclass(frozen=True, slots=True)
class Source:
    """A generator: the object, and how to read its state, set it, and seed it."""

    held: Any
    get: Callable[[], Any]
    set: Callable[[Any], object]
    seed: Callable[[int], object]


Sources = Mapping[str, Source]
States = dict[str, Any]


def take(sources: Sources) -> States:
    """Return the states of generators now."""
    return {label: source.get() for label, source in sources.items()}


def put_back(sources: Sources, states: States) -> None:
    """Set generators to states taken before; a label that is not among `sources` any more is passed over."""
    for label, state in states.items():
        if label in sources:
            sources[label].set(state)


def packed(states: States) -> dict[str, Node]:
    """Return states as JSON data."""
    return {label: pack(state, label) for label, state in states.items()}


def unpacked(node: Mapping[str, Node]) -> States:
    """Return states as `packed` was given them. Raises MismatchError."""
    return {label: unpack(state) for label, state in node.items()}


def shared(*labels: str) -> dict[str, Source]:
    """Return the global generators, or those of them that are named."""
    found = {"random": _python(getattr(random.getstate, "__self__", random))}
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None:
        found["numpy"] = _legacy(numpy.random)
    if torch is not None:
        found["torch"] = _torch(torch.default_generator)
    return {label: source for label, source in found.items() if not labels or label in labels}


def move_on() -> None:
    """Draw a number from each global generator, so that what is drawn from there on is not drawn again."""
    random.random()  # noqa: S311  (nothing secret)
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None:
        numpy.random.random_sample()
    if torch is not None:
        torch.rand(())


def owned(root: Any, label: str, *, but: object = None) -> dict[str, Source]:
    """Return the generators that an object holds, in its attributes and in those of what it holds, but for `but`.

    Also those of functions and methods that it holds, and of the module that its class is from: near ones first.
    """
    return dict(_walk(root, label, {id(but)}))


def _walk(root: Any, label: str, seen: set[int]) -> Iterator[tuple[str, Source]]:
    level: list[tuple[str, Any]] = [(label, root)]
    for _ in range(_DEEPEST):
        below: list[tuple[str, Any]] = []
        for name, value in level:
            if isinstance(value, _PLAIN) or id(value) in seen or len(seen) > _MOST:
                continue
            seen.add(id(value))
            source = _source(value)
            if source is not None:
                yield name, source
            else:
                below += [(f"{name}.{inner}", one) for inner, one in _children(value)]
        level = below


def _children(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, (dict, list, tuple)):
        if len(value) > _WIDEST:
            return []
        return list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    if isinstance(value, functools.partial):
        return [("func", value.func), ("args", value.args), ("keywords", value.keywords)]
    if isinstance(value, MethodType):
        return [("self", value.__self__)]
    if isinstance(value, FunctionType):
        return [*_closure(value), *_globals(value.__module__)]
    if isinstance(value, (type, ModuleType)):
        return []
    slots = [(name, getattr(value, name, None)) for name in _slots(type(value))]
    return [*getattr(value, "__dict__", {}).items(), *slots, *_globals(type(value).__module__)]


def _slots(cls: type) -> Iterator[str]:
    for base in cls.__mro__:
        names = vars(base).get("__slots__", ())
        yield from (names,) if isinstance(names, str) else names


def _closure(function: FunctionType) -> list[tuple[str, Any]]:
    found = []
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # not filled yet
            found.append((name, cell.cell_contents))
    return found


def _globals(module: str) -> list[tuple[str, Any]]:
    """Return the generators among the names of a user's module: libraries keep theirs to themselves."""
    found = vars(sys.modules[module]) if module in sys.modules else {}
    if module.partition(".")[0] in sys.stdlib_module_names | _LIBRARIES:
        return []
    return [(f"{module}:{name}", value) for name, value in found.items() if _source(value) is not None]


def _source(value: Any) -> Source | None:
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if isinstance(value, random.Random) and not isinstance(value, random.SystemRandom):
        return _python(value)
    if torch is not None and isinstance(value, torch.Generator):
        return _torch(value)
    if numpy is not None and isinstance(value, numpy.random.RandomState):
        return _legacy(value)
    if numpy is not None and isinstance(value, numpy.random.Generator):
        return _numpy(value)
    return None


def _python(generator: Any) -> Source:
    def get() -> tuple[int, bytes, float | None]:
        version, words, gauss = generator.getstate()
        return version, array("I", words).tobytes(), gauss

    def put(state: tuple[int, bytes, float | None]) -> None:
        version, words, gauss = state
        generator.setstate((version, tuple(array("I", words)), gauss))

    look = _memory_of_python(generator) if type(generator) is random.Random else None
    return Source(generator, _unless_same(get, look), put, generator.seed)


def _legacy(generator: Any) -> Source:
    return Source(
        generator,
        _unless_same(
            lambda: generator.get_state(legacy=False), _memory_of_legacy(getattr(generator.get_state, "__self__", None))
        ),
        generator.set_state,
        lambda seed: generator.seed([seed & 0xFFFFFFFF, seed >> 32]),
    )


def _numpy(generator: Any) -> Source:
    bits = generator.bit_generator

    def put(state: Any) -> None:
        bits.state = state

    return Source(generator, lambda: bits.state, put, lambda seed: put(type(bits)(seed).state))


def _torch(generator: Any) -> Source:
    return Source(generator, generator.get_state, generator.set_state, generator.manual_seed)


# -- unchanged states: asking for one that was not drawn from costs up to 70 µs, looking at its memory 2 ---------------


def _unless_same(get: Callable[[], Any], look: Callable[[], object] | None) -> Callable[[], Any]:
    """Return `get`, which is not asked again while what `look` sees is the same."""
    if look is None:
        return get
    seen: object = None
    state: Any = None

    def again() -> Any:
        nonlocal seen, state
        now = look()
        if now != seen:
            seen, state = now, get()
        return state

    return again


def _memory_of_python(generator: Any) -> Callable[[], object] | None:
    """Return what reads all that a `random.Random` is: its words and place, and the normal number it has in reserve."""
    read = _reader(generator, _random.Random)
    return read and (lambda: (read(), generator.gauss_next))


def _memory_of_legacy(generator: Any) -> Callable[[], object] | None:
    """Return what reads all that a `RandomState` is: itself, with the number in reserve, and its bit generator."""
    numpy = sys.modules["numpy"]
    read = _reader(generator, numpy.random.RandomState)
    if read is None:
        return None
    from ctypes import string_at

    bits: Any = None
    at = 0

    def look() -> object:
        nonlocal bits, at
        if generator._bit_generator is not bits:  # noqa: SLF001  (`bit_generator` is there from NumPy 1.24 on)
            bits = generator._bit_generator  # noqa: SLF001
            at = bits.ctypes.state_address if type(bits) is numpy.random.MT19937 else 0
        return (read(), string_at(at, _TWISTER_BYTES)) if at else object()

    return look


def _reader(held: Any, cls: type) -> Callable[[], bytes] | None:
    """Return what reads an object's own memory, as far as `cls` knows it; None where that is not to be had."""
    if sys.implementation.name != "cpython" or not isinstance(held, cls):
        return None
    from ctypes import string_at

    begin, size = id(held) + object.__basicsize__, cls.__basicsize__ - object.__basicsize__
    return lambda: string_at(begin, size)
