"""NumPy's dtypes in a manifest: how each is called there, and how its bytes are laid out."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib import recfunctions

from outlast.capture.adapter import Refused
from outlast.errors import DamageError
from outlast.format.dtypes import itemsize

_NUMERIC = "?biufc"
_LONG = {"g": "longdouble", "G": "clongdouble"}
_FOREIGN = 2  # numpy.dtype.isbuiltin of what a library has registered
_NAMED = re.compile(r"(datetime64|timedelta64)\[([A-Za-z0-9]+)\]|[SUV][0-9]+|[a-z0-9_]+")


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
