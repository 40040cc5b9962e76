"""NumPy: arrays of every dtype that holds bytes, scalars; generators by `numpy_random`, dtypes by `numpy_dtypes`.

Bytes are little endian, C order, without padding between fields. A live array keeps its own byte order,
memory order and strides.
"""

from __future__ import annotations

import ctypes
import math
import operator
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from outlast.capture import objects
from outlast.capture.adapter import Adapter, Facts, Fixed, LeafAdapter, LeafSpec, Refused, Several, Target
from outlast.capture.adapters.numpy_dtypes import dtype_named, layout
from outlast.capture.adapters.numpy_random import GENERATORS
from outlast.capture.strides import order_of, strides_of
from outlast.capture.values import class_name
from outlast.errors import DamageError
from outlast.format.model import Node


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


ADAPTERS = (ArrayAdapter(), ScalarAdapter(), KeyAdapter(), SubclassAdapter(), DtypeAdapter(), *GENERATORS)
