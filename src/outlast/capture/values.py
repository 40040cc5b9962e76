"""Immutable values and their nodes: numbers, strings, dates, paths. Bit-exact both ways; no arrays, no containers.

What JSON cannot say is said by an object with a "$". `BUILDERS` is the closed list of immutable types that a
checkpoint may ask for by name.
"""

from __future__ import annotations

import base64
import enum
import functools
import math
import operator
import pathlib
import struct
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from outlast.capture.adapter import Refused
from outlast.errors import DamageError
from outlast.format.model import Node

EXACT_INT = 2**53
LONGEST_STR_BYTES = 64 * 1024
LONGEST_BYTES = 4 * 1024
_LONGEST_DECIMAL_BITS = 8192


def class_name(cls: type) -> str:
    """Return how the manifest names a class. For people and for comparing; never looked up."""
    return f"{cls.__module__}.{cls.__qualname__}"


def has_surrogates(text: str) -> bool:
    """Whether a string has no UTF-8 form."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _int(value: int) -> Node:
    if -EXACT_INT <= value <= EXACT_INT:
        return value
    if value.bit_length() <= _LONGEST_DECIMAL_BITS:
        return {"$": "int", "value": str(value)}
    digits = f"{value:x}"  # hexadecimal: the interpreter limits how long a decimal may be
    if len(digits) > LONGEST_STR_BYTES:
        raise Refused(f"is an int of {value.bit_length()} bits", "keep it as bytes (int.to_bytes) or as an array")
    return _lowered(int, "int.hex", digits)


def _float(value: float) -> Node:
    if math.isfinite(value):
        return value
    return {"$": "float", "bits": struct.pack(">d", value).hex()}


def _complex(value: complex) -> Node:
    return {"$": "complex", "bits": struct.pack(">dd", value.real, value.imag).hex()}


def _enum(value: enum.Enum) -> Node:
    name = value.name
    if name is None:  # a flag without members
        name = ""
    if _member(type(value), name) is not value:
        raise Refused(f"is {value!r}, which its class cannot find by name", "keep its .value instead")
    return {"$": "enum", "class": class_name(type(value)), "name": name}


def _date(value: date) -> Node:
    return {"$": "date", "iso": value.isoformat()}


def _clock(kind: str) -> Callable[[Any], Node]:
    def encode(value: datetime | time) -> Node:
        _check_zone(value.tzinfo)
        node: dict[str, Node] = {"$": kind, "iso": value.isoformat()}
        if value.fold:
            node["fold"] = 1
        return node

    return encode


def _check_zone(zone: tzinfo | None) -> None:
    if zone is None or zone is UTC:
        return
    if type(zone) is timezone and zone == timezone(zone.utcoffset(None)) and zone.tzname(None).startswith("UTC"):
        return
    raise Refused(f"has the time zone {zone!r}", "convert it to UTC (.astimezone(timezone.utc)) and keep the name")


def _timedelta(value: timedelta) -> Node:
    return {
        "$": "timedelta",
        "days": value.days,
        "seconds": value.seconds,
        "microseconds": value.microseconds,
    }


def _path(value: pathlib.PurePath) -> Node:
    if type(value) is not type(pathlib.Path()) or has_surrogates(str(value)):
        return _lowered(type(value), f"pathlib.{type(value).__name__}", encode_str(str(value)))
    if is_long(str(value)):
        raise Refused(f"is a path of {len(str(value))} characters", "keep it as a string")
    return {"$": "path", "value": str(value)}


def is_long(text: str) -> bool:
    """Whether a string is too long to stand in the manifest."""
    return len(text) * 4 > LONGEST_STR_BYTES and len(text.encode(errors="replace")) > LONGEST_STR_BYTES


def _lowered(cls: type, name: str, state: Node) -> Node:
    if isinstance(state, str) and is_long(state):
        raise Refused(f"is a {cls.__name__} of {len(state)} characters", "keep it as a string or bytes")
    return {"$": "adapter", "name": name, "class": class_name(cls), "state": state}


def encode_str(value: str) -> Node:
    """Return the node of a string that is at most `LONGEST_STR_BYTES` long."""
    if has_surrogates(value):
        return _lowered(str, "str.surrogates", encode_bytes("bytes", value.encode("utf-8", "surrogatepass")))
    return value


def encode_bytes(kind: str, value: bytes | bytearray) -> Node:
    """Return the node of bytes that are at most `LONGEST_BYTES` long."""
    return {"$": kind, "base64": base64.b64encode(value).decode()}


def _same(value: Any) -> Node:
    return value


ENCODERS: dict[type, Callable[[Any], Node]] = {
    type(None): _same,
    bool: _same,
    int: _int,
    float: _float,
    complex: _complex,
    date: _date,
    datetime: _clock("datetime"),
    time: _clock("time"),
    timedelta: _timedelta,
    Decimal: lambda value: _lowered(Decimal, "decimal.Decimal", str(value)),
    Fraction: lambda value: _lowered(Fraction, "fractions.Fraction", f"{value.numerator:x}/{value.denominator:x}"),
    UUID: lambda value: _lowered(UUID, "uuid.UUID", str(value)),
    range: lambda value: _lowered(range, "builtins.range", f"{value.start:x}:{value.stop:x}:{value.step:x}"),
    type(...): lambda _: _lowered(type(...), "builtins.Ellipsis", None),
    **dict.fromkeys(
        (
            pathlib.PosixPath,
            pathlib.WindowsPath,
            pathlib.PurePosixPath,
            pathlib.PureWindowsPath,
        ),
        _path,
    ),
}


def encode_enum(value: enum.Enum) -> Node:
    """Return the node of an enum's member, or of a combination of flags."""
    return _enum(value)


def _hexes(text: str, separator: str) -> list[int]:
    return [int(part, 16) for part in text.split(separator)]


BUILDERS: dict[str, Callable[[Any], Any]] = {
    "int.hex": lambda saved: int(saved, 16),
    "str.surrogates": lambda saved: bytes(saved).decode("utf-8", "surrogatepass"),
    "decimal.Decimal": Decimal,
    "fractions.Fraction": lambda saved: Fraction(*_hexes(saved, "/")),
    "uuid.UUID": UUID,
    "builtins.range": lambda saved: range(*_hexes(saved, ":")),
    "builtins.Ellipsis": lambda _: ...,
    "pathlib.PosixPath": pathlib.Path,
    "pathlib.PurePosixPath": pathlib.PurePosixPath,
    "pathlib.PureWindowsPath": pathlib.PureWindowsPath,
}


def build(name: str, saved: Any) -> Any:
    """Make the value of a type in `BUILDERS`.

    Raises:
        DamageError: the saved form is not one of that type.
    """
    try:
        return BUILDERS[name](saved)
    except (ValueError, TypeError, ArithmeticError, AttributeError, LookupError) as error:
        raise DamageError(f"the manifest holds no valid {name}: {error}") from error


_DECODERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "int": lambda node: int(node["value"]),
    "float": lambda node: struct.unpack(">d", bytes.fromhex(node["bits"]))[0],
    "complex": lambda node: complex(*struct.unpack(">dd", bytes.fromhex(node["bits"]))),
    "date": lambda node: date.fromisoformat(node["iso"]),
    "datetime": lambda node: datetime.fromisoformat(node["iso"]).replace(fold=node.get("fold", 0)),
    "time": lambda node: time.fromisoformat(node["iso"]).replace(fold=node.get("fold", 0)),
    "timedelta": lambda node: timedelta(node["days"], node["seconds"], node["microseconds"]),
    "path": lambda node: pathlib.Path(node["value"]),
    "bytes": lambda node: base64.b64decode(node["base64"], validate=True),
    "bytearray": lambda node: bytearray(base64.b64decode(node["base64"], validate=True)),
}


def decode(node: Node) -> Any:
    """Return the value of a node of one of this module's kinds, or of a plain JSON value.

    Raises:
        DamageError: the node is malformed.
    """
    if not isinstance(node, dict):
        return node
    try:
        return _DECODERS[node["$"]](node)
    except (KeyError, ValueError, TypeError, struct.error, OverflowError) as error:
        raise DamageError(f"the manifest holds a malformed value {str(node)[:80]!r}: {error}") from error


def decode_enum(node: Node, classes: Iterable[type]) -> enum.Enum | None:
    """Return the member that the node names, of the first class of that name; None if there is none."""
    wanted = node["class"].rpartition(".")[2]
    for cls in classes:
        if issubclass(cls, enum.Enum) and cls.__name__ == wanted:
            return _member(cls, node["name"])
    return None


def _member(cls: type[enum.Enum], name: str) -> enum.Enum | None:
    if name in cls.__members__:
        return cls.__members__[name]
    if not issubclass(cls, enum.Flag):
        return None
    parts = [cls.__members__.get(part) for part in name.split("|")] if name else []
    known = [part for part in parts if part is not None]
    return functools.reduce(operator.or_, known, cls(0)) if len(known) == len(parts) else None
