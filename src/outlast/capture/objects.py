"""Python objects without an adapter: which attributes are state, how they are set, and what is refused."""

from __future__ import annotations

import copy
import functools
import inspect
import struct
import types
from collections.abc import Iterator
from typing import Any

REGISTER = "teach outlast the type: outlast.register(cls, capture=..., restore=...)"

_REFUSED = {  # by name, so that nothing is imported only to be refused
    "io.IOBase": ("an open file", "keep its path, and its position as an int, and open it again"),
    "_io._IOBase": ("an open file", "keep its path, and its position as an int, and open it again"),
    "socket.socket": ("a socket", "keep the address and connect again"),
    "_socket.socket": ("a socket", "keep the address and connect again"),
    "_thread.lock": ("a lock", "make it anew at start, outside the state"),
    "_thread.RLock": ("a lock", "make it anew at start, outside the state"),
    "threading.Thread": ("a thread", "start it anew, outside the state"),
    "_thread._local": ("thread-local data", "keep the values themselves"),
    "multiprocessing.process.BaseProcess": ("a process", "start it anew, outside the state"),
    "subprocess.Popen": ("a process", "start it anew, outside the state"),
    "builtins.generator": (
        "a generator",
        "keep the position as an int, and loop with run.iterate or run.range",
    ),
    "builtins.coroutine": ("a coroutine", "keep its results, not the coroutine"),
    "builtins.async_generator": ("a generator", "keep the position as an int"),
    "builtins.memoryview": ("a memoryview", "keep the object that it shows"),
    "mmap.mmap": ("a memory map", "use numpy.memmap, or keep the file's path"),
    "weakref.ReferenceType": ("a weak reference", "keep it outside the state"),
}

_METHODS = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    classmethod,
    staticmethod,
    property,
)
_NEWS: tuple[Any, ...] = (object.__new__, types.SimpleNamespace.__new__)
_POINTER_BYTES = struct.calcsize("P")
_OFFSETS = ("__dictoffset__", "__weakrefoffset__")
_SLOTS: dict[type, tuple[str, ...]] = {}


def refusal(cls: type) -> tuple[str, str] | None:
    """Return what it is and the remedy, if objects of this class cannot be captured."""
    for base in cls.__mro__:
        found = _REFUSED.get(f"{base.__module__}.{base.__qualname__}")
        if found:
            return found
    if not hides_state(cls):
        return None
    if hasattr(cls, "__next__"):
        return "an iterator", "keep the position as an int, and loop with run.iterate or run.range"
    name = f"an object of the type {cls.__module__}.{cls.__qualname__}, whose state Python cannot see"
    return name, f"keep plain values or arrays instead, or {REGISTER}"


def hides_state(cls: type) -> bool:
    """Whether instances hold more than attributes: types written in C, and their subclasses."""
    return not _has_custom_getstate(cls) and _holds_more(cls)


def is_makeable(cls: type) -> bool:
    """Whether an object of this class can be made without running its code: from its attributes alone."""
    return cls.__new__ in _NEWS and not inspect.isabstract(cls) and not _holds_more(cls)


@functools.lru_cache(maxsize=4096)
def _holds_more(cls: type) -> bool:
    names = [f"slot{number}" for number in range(len(slots(cls)))]
    optional = ("__dict__", cls.__dictoffset__ != 0), ("__weakref__", cls.__weakrefoffset__ != 0)
    plain = type("plain", (), {"__slots__": [*names, *(name for name, has in optional if has)]})
    size = plain.__basicsize__ + _POINTER_BYTES * sum(_is_inline(cls, plain, name) for name in _OFFSETS)
    return cls.__basicsize__ > size or cls.__itemsize__ > 0


def _is_inline(cls: type, plain: type, offset: str) -> bool:
    """Whether a type keeps a pointer in the instance that the interpreter keeps before it for Python classes."""
    here: int = getattr(cls, offset)
    usual: int = getattr(plain, offset)
    return here > 0 >= usual


def slots(cls: type) -> tuple[str, ...]:
    """Return the names of the slots of a class and its bases."""
    if cls not in _SLOTS:
        _SLOTS[cls] = tuple(_found_slots(cls))
    return _SLOTS[cls]


def _found_slots(cls: type) -> list[str]:
    names: list[str] = []
    for base in cls.__mro__:
        if "__slots__" in vars(base):  # not the members of types written in C
            names += [key for key, member in vars(base).items() if isinstance(member, types.MemberDescriptorType)]
    return names


def has_custom_state(cls: type) -> bool:
    """Whether the class says by itself what its state is (`__getstate__`, `__setstate__`)."""
    setstate = getattr(cls, "__setstate__", None)
    return _has_custom_getstate(cls) or not (setstate is None or _is_dataclass_made(setstate))


def _has_custom_getstate(cls: type) -> bool:
    getstate = getattr(cls, "__getstate__", None)
    return getstate is not object.__getstate__ and not _is_dataclass_made(getstate)


def _is_dataclass_made(method: Any) -> bool:
    return getattr(method, "__module__", None) == "dataclasses"  # for a frozen class with slots


def attributes(value: Any) -> dict[str, Any]:
    """Return the attributes that an object holds: its slots that are set, then its `__dict__`."""
    return {**dict(_set_slots(value)), **getattr(value, "__dict__", {})}


def _set_slots(value: Any) -> Iterator[tuple[str, Any]]:
    for name in slots(type(value)):
        try:
            yield name, object.__getattribute__(value, name)
        except AttributeError:
            continue


def is_method(cls: type, name: str) -> bool:
    """Whether a class defines a name as a method or property: an attribute of that name would hide it."""
    return isinstance(inspect.getattr_static(cls, name, None), _METHODS)


def is_cached(cls: type, name: str) -> bool:
    """Whether an attribute is what a cached property has computed: it may go, and comes again."""
    return isinstance(inspect.getattr_static(cls, name, None), functools.cached_property)


def assign(value: Any, name: str, new: Any) -> None:
    """Set an attribute as unpickling would: past `__setattr__` and properties of the class."""
    if name in slots(type(value)):
        object.__setattr__(value, name, new)
    else:
        vars(value)[name] = new


def put_state(value: Any, state: Any) -> None:
    """Give an object back what its `__getstate__` returned."""
    if hasattr(value, "__setstate__"):
        value.__setstate__(state)
        return
    for part in state if isinstance(state, tuple) else (state,):
        for name, new in (part or {}).items():
            assign(value, name, new)


def is_frozen(value: Any) -> bool:
    """Whether it is an instance of a frozen dataclass."""
    parameters = getattr(type(value), "__dataclass_params__", None)
    return bool(parameters and parameters.frozen)


def replaced(value: Any, new: dict[str, Any]) -> Any:
    """Return a frozen instance with other attributes; itself if they are the same objects."""
    old = attributes(value)
    if all(name in old and old[name] is item for name, item in new.items()):
        return value
    twin = copy.copy(value)
    for name, item in new.items():
        assign(twin, name, item)
    return twin
