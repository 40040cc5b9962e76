"""NumPy: arrays of every dtype that holds bytes, scalars, generators. The one module that imports NumPy.

Bytes are little endian, C order, without padding between fields. A live array keeps its own byte order,
memory order and strides.
"""

from __future__ import annotations

import ctypes
import functools
import json
import math
import operator
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib import recfunctions

from outlast.capture import objects
from outlast.capture.adapter import Adapter, Facts, Fixed, GlobalRng, LeafAdapter, LeafSpec, Refused, Several, Target
from outlast.capture.strides import order_of, strides_of
from outlast.capture.values import class_name
from outlast.errors import DamageError
from outlast.format.dtypes import itemsize
from outlast.format.model import Node

_NUMERIC = "?biufc"
_LONG = {"g": "longdouble", "G": "clongdouble"}
_FOREIGN = 2  # numpy.dtype.isbuiltin of what a library has registered
_NAMED = re.compile(r"(datetime64|timedelta64)\[([A-Za-z0-9]+)\]|[SUV][0-9]+|[a-z0-9_]+")
_BIT_GENERATORS = {
    cls.__name__: cls
    for cls in (np.random.MT19937, np.random.PCG64, np.random.PCG64DXSM, np.random.Philox, np.random.SFC64)
}


@dataclass(frozen=True, slots=True)
class Layout:
    """How a dtype stands in a checkpoint.

    Args:
        name: the specification's name.
        stored: the same dtype, little endian and packed.
    """

    name: str
    stored: np.dtype[Any]


@functools.lru_cache(maxsize=4096)
def layout(dtype: np.dtype[Any]) -> Layout:
    """Return the layout of a dtype.

    Raises:
        Refused: its items are not bytes.
    """
    if dtype.hasobject or dtype.kind in "OT":
        raise Refused(
            f"is an array of Python objects or variable-length strings (dtype {dtype})",
            "use a list, or a fixed dtype: numbers, dates, U<n>, S<n>",
        )
    if _is_long(dtype):
        return Layout(_long_name(dtype), dtype.newbyteorder("="))
    if dtype.names is not None:
        return _structured(dtype)
    stored = dtype.newbyteorder("<")
    if not _is_known(_name(stored)):
        raise Refused(f"has the dtype {dtype}", "convert it to one of NumPy's own dtypes, or to bfloat16 or float8")
    return Layout(_name(stored), stored)


def _is_long(dtype: np.dtype[Any]) -> bool:
    return dtype.char in _LONG and dtype.isbuiltin != _FOREIGN  # other libraries' dtypes use the same letters


def _is_known(name: str) -> bool:
    try:
        itemsize(name)
    except DamageError:
        return False
    return True


def _name(dtype: np.dtype[Any]) -> str:
    if dtype.kind in "mM":
        unit, count = np.datetime_data(dtype)
        return f"{dtype.name.partition('[')[0]}[{count if count > 1 else ''}{unit}]"
    if dtype.kind == "S" or (dtype.kind == "V" and dtype.type is np.void):
        return f"{dtype.kind}{dtype.itemsize}"
    return f"U{dtype.itemsize // 4}" if dtype.kind == "U" else dtype.name


def _structured(dtype: np.dtype[Any]) -> Layout:
    packed: np.dtype[Any] = recfunctions.repack_fields(dtype, recurse=True)
    stored = packed.newbyteorder("<")
    if not _has_plain_fields(dtype):
        raise Refused(
            f"has a field of extended precision, or of another library's type (dtype {dtype})",
            "use float64 in structured arrays",
        )
    return Layout("struct:" + json.dumps(stored.descr, separators=(",", ":")), stored)


def _has_plain_fields(dtype: np.dtype[Any]) -> bool:
    if dtype.names is not None:
        return all(_has_plain_fields(dtype[name].base) for name in dtype.names)
    return not _is_long(dtype) and (dtype.kind != "V" or dtype.type is np.void)


def _long_name(dtype: np.dtype[Any]) -> str:
    """Name extended precision by its form on this machine: it means other bits elsewhere."""
    bits = np.finfo(np.longdouble).nmant
    field = [[f"outlast.{_LONG[dtype.char]}{bits}", f"|V{dtype.itemsize}"]]
    return "struct:" + json.dumps(field, separators=(",", ":"))


def dtype_named(name: str) -> np.dtype[Any]:
    """Return the dtype of a specification's name.

    Raises:
        ValueError: this process has none of that name.
    """
    if name.startswith("struct:"):
        return _structured_named(name)
    if not _NAMED.fullmatch(name):
        raise ValueError(f"there is no dtype {name!r}")
    try:
        dtype = np.dtype(name)
    except TypeError as error:
        raise ValueError(f"this process knows no dtype {name!r}; import the library that brings it") from error
    if dtype.hasobject or dtype.kind == "O":
        raise ValueError(f"the dtype {name!r} holds objects")
    is_numeric = dtype.kind in _NUMERIC and dtype.isbuiltin != _FOREIGN
    return np.dtype(dtype.newbyteorder("<").str) if is_numeric else dtype.newbyteorder("<")


def _structured_named(name: str) -> np.dtype[Any]:
    for char in _LONG:
        if _long_name(np.dtype(char)) == name:
            return np.dtype(char)
    try:
        dtype: np.dtype[Any] = np.dtype(_descr(json.loads(name.removeprefix("struct:"))))
    except (TypeError, IndexError) as error:
        raise ValueError(f"there is no dtype {name!r}") from error
    if dtype.hasobject:
        raise ValueError(f"the dtype {name!r} holds objects")
    return dtype


def _descr(fields: Any) -> Any:
    """Turn JSON lists back into the lists and tuples of a numpy descr."""
    if isinstance(fields, str):
        return fields
    return [(_titled(field[0]), _descr(field[1]), *(tuple(shape) for shape in field[2:])) for field in fields]


def _titled(name: Any) -> Any:
    return tuple(name) if isinstance(name, list) else name


def _bytes_of(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the bytes of a C contiguous array, as a view."""
    return np.asarray(array).reshape(-1).view(np.uint8)


def _spec(array: Any) -> LeafSpec:
    form = layout(array.dtype)
    size = math.prod(array.shape) * form.stored.itemsize
    return LeafSpec(dtype=form.name, shape=tuple(array.shape), size_bytes=size)


def _copy(array: np.ndarray[Any, Any], out: memoryview) -> None:
    if not out.nbytes:
        return
    stored = layout(array.dtype).stored
    if array.dtype == stored and array.flags.c_contiguous:
        np.frombuffer(out, np.uint8)[:] = _bytes_of(array)
    else:
        np.copyto(np.ndarray(array.shape, stored, buffer=out), np.asarray(array), casting="unsafe")


def _writable(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """Return the array, or a view of the same memory that can be written; None if the memory is read-only."""
    if array.flags.writeable:
        return array
    base = array.base
    while isinstance(base, np.ndarray) and not base.flags.writeable:
        base = base.base
    if not isinstance(base, np.ndarray):
        return None
    view = np.asarray(array).view()
    view.flags.writeable = True
    return view


class Filled(Target):
    """A live array, filled in place; or a new one."""

    __slots__ = ("_array", "_live", "_stored", "_temporary")

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self._live = array
        writable = _writable(array)
        self._array = array if writable is None else writable
        self._stored = layout(array.dtype).stored
        self._temporary: np.ndarray[Any, Any] | None = None

    def _is_plain(self) -> bool:
        return bool(self._array.dtype == self._stored and self._array.flags.c_contiguous)

    def own_bytes(self, size_bytes: int) -> int:
        return 0 if self._is_plain() else size_bytes

    def open(self) -> memoryview:
        if not self._array.size or not self._stored.itemsize:
            return memoryview(bytearray())
        if self._is_plain():
            return _bytes_of(self._array).data
        self._temporary = np.empty(self._array.shape, self._stored)
        return _bytes_of(self._temporary).data

    def close(self) -> None:
        if self._temporary is not None:
            np.copyto(np.asarray(self._array), self._temporary, casting="unsafe")
            self._temporary = None

    def value(self) -> Any:
        return self._live


class FilledScalar(Filled):
    """A new scalar."""

    def value(self) -> Any:
        return self._array[()]


class Arrays(Several):
    """Many arrays. Not structured ones: the names in their dtype can be changed in place."""

    types = frozenset({np.ndarray, np.memmap})

    def suits(self, values: Sequence[Any]) -> bool:
        return all(value.size and value.dtype.names is None for value in values)

    def facts(self, values: Sequence[Any]) -> Facts:
        told = tuple(list(map(get, values)) for get in _TOLD)
        return Facts(told, _addresses(values))

    def identities(self, facts: Facts) -> list[Hashable]:
        return list(zip(facts.addresses, *facts.told, strict=True))


_TOLD = tuple(map(operator.attrgetter, ("shape", "strides", "dtype")))


def _addresses(arrays: Sequence[Any]) -> list[int]:
    """Return where each array's memory begins: the buffer protocol knows it sooner than the array interface."""
    try:
        return list(map(ctypes.addressof, map(ctypes.c_char.from_buffer, arrays)))
    except (TypeError, ValueError, BufferError):  # one is read-only, not in C order, or holds dates
        return list(map(_address, arrays))


def _address(array: Any) -> int:
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))
    except (TypeError, ValueError, BufferError):
        return int(array.__array_interface__["data"][0])


class ArrayAdapter(LeafAdapter):
    """`numpy.ndarray` and memory maps of it."""

    kind = "array"
    exact_types = (np.ndarray, np.memmap)
    several = Arrays()

    def describe(self, value: Any) -> LeafSpec:
        return _spec(value)

    def identity(self, value: Any) -> Hashable | None:
        if not value.size:
            return None
        return _address(value), value.shape, value.strides, value.dtype

    def copy(self, value: Any, out: memoryview) -> None:
        _copy(value, out)

    def address(self, value: Any) -> int | None:
        is_plain = value.flags.c_contiguous and value.dtype == layout(value.dtype).stored
        return _address(value) if is_plain else None

    def attributes(self, value: Any) -> dict[str, Node]:
        order = None if value.flags.c_contiguous else order_of(value.shape, value.strides, value.itemsize)
        return {"order": order} if order else {}

    def view(self, value: Any) -> Any:
        return value.view()

    def fillable(self, value: Any) -> bool:
        return _writable(value) is not None and not (0 in value.strides and value.size > 1)

    def target(self, live: Any | None, spec: LeafSpec, node: Node) -> Target:
        return Filled(live if live is not None else _new(spec, node))


def _new(spec: LeafSpec, node: Node) -> np.ndarray[Any, Any]:
    dtype = dtype_named(spec.dtype)
    if math.prod(spec.shape) * dtype.itemsize != spec.size_bytes:
        raise DamageError(f"an array {spec.dtype}{list(spec.shape)} cannot have {spec.size_bytes} bytes")
    strides = [step * dtype.itemsize for step in strides_of(spec.shape, node)]
    try:
        return np.ndarray(spec.shape, dtype, strides=strides if "order" in node else None)
    except MemoryError as error:
        raise ValueError(f"this process cannot hold it: {error}") from error


class ScalarAdapter(LeafAdapter):
    """NumPy scalars: immutable, so a saved one takes the live one's place."""

    kind = "scalar"
    types = (np.generic,)
    immutable = True

    def describe(self, value: Any) -> LeafSpec:
        return _spec(value)

    def identity(self, value: Any) -> Hashable | None:  # noqa: ARG002
        return None

    def copy(self, value: Any, out: memoryview) -> None:
        _copy(np.asarray(value), out)

    def attributes(self, value: Any) -> dict[str, Node]:  # noqa: ARG002
        return {}

    def key(self, value: Any) -> Node:
        out = bytearray(self.describe(value).size_bytes)
        self.copy(value, memoryview(out))
        state = f"{layout(value.dtype).name}={out.hex()}"
        return {"$": "adapter", "name": "numpy.key", "class": class_name(type(value)), "state": state}

    def fillable(self, value: Any) -> bool:  # noqa: ARG002
        return False

    def target(self, live: Any | None, spec: LeafSpec, node: Node) -> Target:  # noqa: ARG002
        return FilledScalar(_new(spec, {}))


class KeyAdapter(Adapter):
    """A scalar that is a dict's key or a set's element: its dtype and bytes as a string."""

    name = "numpy.key"
    buildable = True

    def lower(self, value: Any) -> Any:
        raise NotImplementedError

    def restore(self, value: Any, saved: Any) -> Any:
        raise NotImplementedError

    def build(self, saved: Any) -> Any:
        name, _, digits = saved.rpartition("=")
        return np.frombuffer(bytes.fromhex(digits), dtype_named(name))[0]


class SubclassAdapter(Adapter):
    """`np.matrix`, `np.recarray` and the user's own: filled in place, never made."""

    name = "numpy.subclass"
    types = (np.ndarray,)
    same_class = True
    in_place = True

    def lower(self, value: Any) -> Any:
        if isinstance(value, np.ma.MaskedArray):
            raise Refused("is a masked array", "keep its .data and its .mask as two arrays")
        own = objects.attributes(value)
        if own and not type(value).__module__.startswith("numpy"):
            what = f"is a {class_name(type(value))} with attributes of its own ({', '.join(sorted(own))})"
            raise Refused(what, objects.REGISTER)
        return np.asarray(value)

    def restore(self, value: Any, saved: Any) -> Any:
        if not np.shares_memory(value, saved) and value.size:
            raise ValueError("the live array is read-only")
        return value


class DtypeAdapter(Adapter):
    """Dtypes and universal functions are part of the program."""

    name = "numpy.fixed"
    types = (np.dtype, np.ufunc)

    def lower(self, value: Any) -> Any:
        return Fixed(f"numpy.{value}")

    def restore(self, value: Any, saved: Any) -> Any:  # noqa: ARG002
        return value


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
ADAPTERS = (
    ArrayAdapter(),
    ScalarAdapter(),
    KeyAdapter(),
    SubclassAdapter(),
    DtypeAdapter(),
    _BITS,
    SeedSequenceAdapter(),
    GeneratorAdapter(),
    RandomStateAdapter(),
    NumpyRng(),
)
