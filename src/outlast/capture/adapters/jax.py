"""JAX: arrays, typed random keys, jitted functions. The one module that imports JAX.

Arrays never change, so a snapshot keeps those in the CPU's memory as they are, and a restore puts new ones in their
place: on the devices, and with the sharding, of the live ones. Trees of them (Optax, Equinox ...) are made of
containers that need nothing here.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from outlast.capture.adapter import Adapter, Fixed, LeafAdapter, LeafSpec, Refused, Target
from outlast.capture.adapters.numpy_dtypes import layout
from outlast.errors import DamageError
from outlast.format.model import Node

_NAMES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", "complex64", "complex128", "bfloat16",
    "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu",
)  # fmt: skip
_DTYPES = {name: np.dtype(getattr(jnp, name, name)) for name in _NAMES if hasattr(jnp, name) or name == "bool"}
_KEYS = frozenset({"threefry2x32", "rbg", "unsafe_rbg"})  # made where the program has none; never a name from a file
_IMPLEMENTATION = getattr(getattr(jax._src, "array", None), "ArrayImpl", jax.Array)  # noqa: SLF001  (before 0.8 no subclass)
_ALIGN_BYTES = 64  # so that the CPU's client takes the memory over and copies nothing


def _is_key(array: jax.Array) -> bool:
    return bool(jnp.issubdtype(array.dtype, jax.dtypes.prng_key))


def _impl(array: jax.Array) -> str:
    """Return the name of a key's implementation; "" for an array of numbers."""
    if not _is_key(array):
        return ""
    name = jax.random.key_impl(array)
    if not isinstance(name, str):
        raise Refused("is a random key of an implementation without a name", "keep jax.random.key_data(key)")
    return name


def _numbers(array: jax.Array) -> jax.Array:
    return jax.random.key_data(array) if _is_key(array) else array


def _check(array: Any) -> None:
    """Raise Refused if the values cannot be had here and now."""
    if array.is_deleted():
        what = "is an array that has been deleted, or donated to a jitted function (donate_argnums)"
        raise Refused(what, "put what that function returned into the state before the next step boundary")
    if not (array.is_fully_addressable or array.is_fully_replicated):
        what = "is an array of which other processes hold parts"
        remedy = "keep the shards of this process, [shard.data for shard in x.addressable_shards], or gather it"
        raise Refused(what, f"{remedy}: jax.experimental.multihost_utils.process_allgather")


class Rebuilt(Target):
    """A new array, where the live one is.

    Args:
        spec: of the numbers.
        live: says where to; None: on the default device.
        impl: of a random key; "" for numbers.
        zero: a weakly typed one, if the array is to be so; else None.
    """

    __slots__ = ("_data", "_impl", "_live", "_zero")

    def __init__(self, spec: LeafSpec, live: jax.Array | None, *, impl: str, zero: jax.Array | None) -> None:
        self._data = _empty(spec)
        self._live, self._impl, self._zero = live, impl, zero

    def open(self) -> memoryview:
        return _bytes_of(self._data).data

    def close(self) -> None:
        """Nothing: the array takes the memory over as it is."""

    def value(self) -> Any:
        # what is committed to a device makes a function run there: the new one is so only if the live one was
        sharding = self._live.sharding if self._live is not None and _is_committed(self._live) else None
        if self._zero is None and not self._impl:
            return jax.device_put(self._data, sharding)
        made = jnp.asarray(self._data)
        if self._zero is not None:
            made = jnp.broadcast_to(self._zero, made.shape).at[...].set(made)
        else:
            made = jax.random.wrap_key_data(made, impl=self._impl)
        return jax.device_put(made, sharding)


def _is_committed(array: Any) -> bool:
    return bool(getattr(array, "committed", True))


def _empty(spec: LeafSpec) -> np.ndarray[Any, Any]:
    """Return new memory for an array.

    Raises:
        DamageError: it has no such size.
        ValueError: this process makes no such arrays.
    """
    dtype = _DTYPES.get(spec.dtype)
    if dtype is None:
        raise ValueError(f"JAX has no dtype {spec.dtype!r} here")
    if jax.dtypes.canonicalize_dtype(dtype) != dtype:
        raise ValueError(f"this process makes no {dtype} of it: set jax_enable_x64 as the saved program had it")
    if math.prod(spec.shape) * dtype.itemsize != spec.size_bytes:
        raise DamageError(f"an array {spec.dtype}{list(spec.shape)} cannot have {spec.size_bytes} bytes")
    try:
        memory = np.empty(spec.size_bytes + _ALIGN_BYTES, np.uint8)
    except MemoryError as error:
        raise ValueError(f"this process cannot hold it: {error}") from error
    begin = -memory.ctypes.data % _ALIGN_BYTES
    return memory[begin : begin + spec.size_bytes].view(dtype).reshape(spec.shape)


def _bytes_of(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return array.reshape(-1).view(np.uint8)


def _weak_zero(dtype: np.dtype[Any]) -> jax.Array:
    """Return a weakly typed zero.

    Raises:
        Refused: Python's numbers make none of that dtype.
    """
    zero = next((zero for zero in map(jnp.asarray, (0, 0.0, 0j)) if zero.dtype == dtype), None)
    if zero is None:
        raise Refused(f"is a weakly typed array of {dtype}", "give it a strong type: x.astype(x.dtype)")
    return zero


class ArrayAdapter(LeafAdapter):
    """`jax.Array`: numbers and typed random keys, on whatever devices this process reaches."""

    kind = "jax.array"
    types = (jax.Array, _IMPLEMENTATION, jax.core.Tracer)
    immutable = True

    def describe(self, value: Any) -> LeafSpec:
        if isinstance(value, jax.core.Tracer):
            raise Refused("is a tracer: this is inside a function that JAX transforms", "save outside of it")
        dtype, shape = (value.dtype, value.shape) if not _is_key(value) else _key_form(value)
        name = layout(dtype).name
        if name not in _DTYPES:
            raise Refused(f"has the dtype {dtype}", "keep it as int8, or as a float8 that others know: x.astype(...)")
        return LeafSpec(dtype=name, shape=tuple(shape), size_bytes=math.prod(shape) * dtype.itemsize)

    def identity(self, value: Any) -> Hashable | None:  # noqa: ARG002
        return None

    def copy(self, value: Any, out: memoryview) -> None:
        _check(value)
        numbers = _numbers(value)
        stored = np.ndarray(numbers.shape, layout(numbers.dtype).stored, buffer=out)
        shards = numbers.addressable_shards
        for shard in shards[:1] if numbers.is_fully_replicated else shards:
            if numbers.is_fully_replicated or shard.replica_id == 0:
                stored[shard.index] = np.asarray(shard.data)

    def address(self, value: Any) -> int | None:
        host = _host(value)
        return None if host is None else host.__array_interface__["data"][0]

    def owner(self, value: Any) -> Any:
        return _host(value)  # a view: as long as one is held, XLA copies what is donated and does not use it again

    def attributes(self, value: Any) -> dict[str, Node]:
        _check(value)
        if _is_key(value):
            return {"impl": _impl(value)}
        if not value.weak_type:
            return {}
        _weak_zero(value.dtype)
        return {"weak_type": True}

    def fillable(self, value: Any) -> bool:  # noqa: ARG002
        return True

    def target(self, live: Any | None, spec: LeafSpec, node: Node) -> Target:
        zero = _weak_zero(_DTYPES[spec.dtype]) if _is_weak(node) and spec.dtype in _DTYPES else None
        return Rebuilt(spec, live, impl=_wanted_impl(live, spec, node), zero=zero)


def _key_form(keys: jax.Array) -> tuple[np.dtype[Any], tuple[int, ...]]:
    inner = _inner(_impl(keys))
    return inner.dtype, (*keys.shape, *inner.shape)


@functools.cache
def _inner(impl: str) -> jax.ShapeDtypeStruct:
    """Return the form of the numbers in one key."""
    form: jax.ShapeDtypeStruct = jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0, impl=impl)))
    return form


def _host(value: Any) -> np.ndarray[Any, Any] | None:
    """Return the very memory of an array, computed by now; None if it lies elsewhere, or not in the stored form."""
    _check(value)
    if (
        _is_key(value)
        or not value.size
        or len(value.devices()) > 1
        or any(one.platform != "cpu" for one in value.devices())
    ):
        return None
    host = np.asarray(value)
    is_plain = host.flags.c_contiguous and host.dtype == layout(host.dtype).stored and not host.flags.writeable
    return host if is_plain else None


def _is_weak(node: Node) -> bool:
    if node.get("weak_type", True) is not True:
        raise DamageError("a jax.array's weak_type is not true")
    return "weak_type" in node


def _wanted_impl(live: Any | None, spec: LeafSpec, node: Node) -> str:
    """Return the implementation of the keys to be made; "" if they are numbers.

    Raises:
        ValueError: the live array is of another kind, or there is none and this process may not make one.
    """
    impl = node.get("impl", "")
    if not isinstance(impl, str):
        raise DamageError("a jax.array's impl is no name")
    found = impl if live is None else _impl(live)
    if found != impl:
        raise ValueError(f"saved as {_said(impl)}, the program has {_said(found)}")
    if live is None and impl and impl not in _KEYS:
        raise ValueError(f"saved as {_said(impl)}: have one there before the restore")
    if impl and (spec.dtype != _inner(impl).dtype.name or spec.shape[-len(_inner(impl).shape) :] != _inner(impl).shape):
        raise DamageError(f"{spec.dtype}{list(spec.shape)} cannot be {_said(impl)}")
    return impl


def _said(impl: str) -> str:
    return f"random keys of {impl!r}" if impl else "numbers"


class JittedAdapter(Adapter):
    """Jitted functions are part of the program, as functions are."""

    name = "jax.jit"
    types = (type(jax.jit(lambda: None)),)

    def lower(self, value: Any) -> Any:
        inner = getattr(value, "__wrapped__", None)
        if getattr(inner, "__closure__", None) is not None:
            what = f"is the jitted function {value.__qualname__} with captured variables (a closure)"
            raise Refused(what, "keep the variables as state and make the function anew, outside the state")
        return Fixed(f"jax.jit({value.__module__}:{value.__qualname__})")

    def restore(self, value: Any, saved: Any) -> Any:  # noqa: ARG002
        return value


ADAPTERS = (ArrayAdapter(), JittedAdapter())
