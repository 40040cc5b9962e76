"""The dtypes of leaves: their item size, and how they stand in a safetensors header."""

from __future__ import annotations

import functools
import re
from reprlib import repr as short
from typing import Any

from outlast.errors import DamageError
from outlast.format.envelope import load

SAFETENSORS_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "U32": 4, "I32": 4, "U64": 8, "I64": 8,
    "F16": 2, "BF16": 2, "F32": 4, "F64": 8, "F8_E4M3": 1, "F8_E5M2": 1,
}  # fmt: skip
_SAFETENSORS = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "uint32": "U32",
    "int32": "I32", "uint64": "U64", "int64": "I64", "float16": "F16", "bfloat16": "BF16",
    "float32": "F32", "float64": "F64", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
}  # fmt: skip
_BYTES = {name: SAFETENSORS_BYTES[kind] for name, kind in _SAFETENSORS.items()} | {
    "complex64": 8, "complex128": 16, "float8_e4m3fnuz": 1, "float8_e5m2fnuz": 1, "float8_e8m0fnu": 1,
    "bytes": 1, "utf8": 1,
}  # fmt: skip
_UNIT = r"\[(?:[1-9][0-9]{0,8})?(?:generic|Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\]"
_TIME = re.compile(rf"(?:datetime64|timedelta64){_UNIT}")
_TEXT = re.compile(r"([SUV])(0|[1-9][0-9]{0,9})")
_FIELD = re.compile(rf"[<|](?:(b1|[iu][1248]|f[248]|c8|c16)|[mM]8(?:{_UNIT})?|([SUV])(0|[1-9][0-9]{{0,9}}))", re.ASCII)
_STRUCT = "struct:"
_MAX_NAME_CHARS = 1 << 16
_MAX_ITEM_BYTES = (1 << 31) - 1


@functools.lru_cache(maxsize=1024)
def itemsize(dtype: str) -> int:
    """Return the bytes of one item. Raises DamageError for a dtype that the format does not know."""
    if dtype in _BYTES:
        return _BYTES[dtype]
    if _TIME.fullmatch(dtype):
        return 8
    text = _TEXT.fullmatch(dtype)
    if text:
        return _checked(_text_size(text[1], text[2]))
    if dtype.startswith(_STRUCT) and len(dtype) <= _MAX_NAME_CHARS:
        return _struct_size(load(dtype.removeprefix(_STRUCT).encode(errors="replace"), "a structured dtype"))
    raise DamageError(f"unknown dtype {short(dtype)}")


def safetensors_dtype(dtype: str) -> tuple[str, bool]:
    """Return the safetensors name, and whether the shape stands in the header as it is (else U8 and a length)."""
    known = _SAFETENSORS.get(dtype)
    return (known, True) if known else ("U8", False)


def _struct_size(fields: Any) -> int:
    """Return the bytes of a structured item: the sum over its fields, as padding is a field too."""
    if not isinstance(fields, list) or not all(isinstance(f, list) and len(f) in (2, 3) for f in fields):
        raise DamageError("a structured dtype is a list of [name, type] and [name, type, shape]")
    names = [name for field in fields for name in (field[0] if isinstance(field[0], list) else field[:1])]
    given = [name for name in names if name != ""]  # padding has no name
    if not all(isinstance(name, str) for name in given) or len(set(given)) != len(given):
        raise DamageError("a structured dtype's field names are not different strings")
    return _checked(sum(_field_size(*field[1:]) for field in fields))


def _field_size(kind: Any, shape: Any = ()) -> int:
    size = _struct_size(kind) if isinstance(kind, list) else _code_size(kind)
    for length in shape if isinstance(shape, (list, tuple)) else [shape]:
        if type(length) is not int or length < 0:
            raise DamageError(f"a field's shape holds {short(length)}, expected a length")
        size = _checked(size * length)
    return size


def _code_size(code: Any) -> int:
    match = _FIELD.fullmatch(code) if isinstance(code, str) else None
    if match is None:
        raise DamageError(f"unknown field type {short(code)}")
    if match[1]:
        return int(match[1][1:])
    return _text_size(match[2], match[3]) if match[2] else 8


def _text_size(kind: str, length: str) -> int:
    return int(length) * (4 if kind == "U" else 1)


def _checked(size_bytes: int) -> int:
    if size_bytes > _MAX_ITEM_BYTES:
        raise DamageError(f"an item of {size_bytes} bytes, the limit is {_MAX_ITEM_BYTES}")
    return size_bytes
