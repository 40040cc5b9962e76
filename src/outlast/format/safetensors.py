"""The header of a part: a valid safetensors file, so that any reader of that format opens it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from outlast.errors import CaptureError, DamageError
from outlast.format.dtypes import SAFETENSORS_BYTES, itemsize, safetensors_dtype
from outlast.format.envelope import parse

MAX_HEADER_BYTES = 100_000_000  # the limit of the safetensors package
_METADATA = "__metadata__"
_LENGTH_BYTES = 8
_ALIGN = 8
_LIMIT = 1 << 63


def header(
    leaves: Sequence[tuple[str, str, tuple[int, ...], int]], metadata: Mapping[str, str], align: int = _ALIGN
) -> tuple[bytes, list[int]]:
    """Return a header for leaves (name, dtype, shape, bytes), and where each leaf begins in the file.

    A name that stands twice (boxes of one array) or means something else gets a suffix: `w`, `w~2`, `w~3`.
    The first leaf begins at a multiple of `align`, itself one of 8.

    Raises:
        CaptureError: a dtype that the format does not know, or too many leaves for one file.
        ValueError: a leaf's bytes do not fit its dtype and shape: the caller's mistake.
    """
    table: dict[str, Any] = {_METADATA: dict(metadata)}
    begins = []
    at = 0
    for (name, dtype, shape, size), unique in zip(leaves, _unique([leaf[0] for leaf in leaves]), strict=True):
        _check_leaf(name, dtype, shape, size)
        kind, keeps_shape = safetensors_dtype(dtype)
        stands = list(shape) if keeps_shape else [size]
        table[unique] = {"dtype": kind, "shape": stands, "data_offsets": [at, at + size]}
        begins.append(at)
        at += size
    if not metadata:
        del table[_METADATA]
    text = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")
    text += b" " * (-(len(text) + _LENGTH_BYTES) % align)
    if len(text) > MAX_HEADER_BYTES:
        raise CaptureError(
            f"{len(leaves)} leaves need a header of {len(text)} bytes, safetensors allows {MAX_HEADER_BYTES}",
            hint="stack small arrays into larger ones",
        )
    full = len(text).to_bytes(_LENGTH_BYTES, "little") + text
    return full, [len(full) + begin for begin in begins]


def header_bytes(data: bytes, file_bytes: int, path: str = "") -> int:
    """Return the length of a whole header, read from the first 8 bytes of a file.

    Raises:
        DamageError: no such header fits the file or the limits.
    """
    if len(data) < _LENGTH_BYTES:
        raise DamageError(f"{path} is too short for a safetensors file", path=path)
    size = int.from_bytes(data[:_LENGTH_BYTES], "little")
    if size > MAX_HEADER_BYTES or _LENGTH_BYTES + size > file_bytes:
        raise DamageError(f"{path} announces a header of {size} bytes, it has {file_bytes}", path=path)
    return _LENGTH_BYTES + size


def parse_header(data: bytes, file_bytes: int, path: str = "") -> dict[str, tuple[str, tuple[int, ...], int, int]]:
    """Read a header strictly: name -> (dtype, shape, begin, end), offsets from the file's beginning.

    Args:
        data: the file's beginning, at least the whole header.
        file_bytes: the file's size.
        path: for messages.

    Raises:
        DamageError: a rule of the safetensors format is broken: holes, overlaps, sizes, types.
    """
    base = header_bytes(data, file_bytes, path)
    text = bytes(data[_LENGTH_BYTES:base])
    if len(text) < base - _LENGTH_BYTES or not text.startswith(b"{"):
        raise DamageError(f"{path}: its header is cut short, or does not begin with a brace", path=path)
    table = parse(text.rstrip(b" "), path)
    _check_metadata(table.pop(_METADATA, {}), path)
    found = {name: _entry(entry, base, f"{path}: {name[:100]}", path) for name, entry in table.items()}
    at = base
    for name, (_, _, begin, end) in sorted(found.items(), key=lambda item: item[1][2:]):
        if begin != at:
            message = f"{path}: {name[:100]} begins at {begin}, expected {at}: a hole or an overlap"
            raise DamageError(message, path=path)
        at = end
    if at != file_bytes:
        raise DamageError(f"{path} has {file_bytes} bytes, its header accounts for {at}", path=path)
    return found


def _unique(names: Sequence[str]) -> list[str]:
    taken = {_METADATA}
    count: dict[str, int] = {}
    found = []
    for name in (name.encode(errors="replace").decode() for name in names):
        unique = name
        while unique in taken:
            count[name] = count.get(name, 1) + 1
            unique = f"{name}~{count[name]}"
        taken.add(unique)
        found.append(unique)
    return found


def _check_leaf(name: str, dtype: str, shape: tuple[int, ...], size: int) -> None:
    try:
        item = itemsize(dtype)
    except DamageError as e:
        raise CaptureError(f"{name}: {e.args[0]}", hint="convert it to a dtype that the format knows") from None
    if math.prod(shape) * item != size:
        raise ValueError(f"{name}: {size} bytes do not fit dtype {dtype} and shape {shape}")


def _check_metadata(found: Any, path: str) -> None:
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise DamageError(f"{path}: its metadata are not strings by name", path=path)


def _entry(entry: Any, base: int, where: str, path: str) -> tuple[str, tuple[int, ...], int, int]:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise DamageError(f"{where}: expected dtype, shape and data_offsets", path=path)
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    item = SAFETENSORS_BYTES.get(dtype) if isinstance(dtype, str) else None
    if item is None or not _are_lengths(shape) or not _are_lengths(offsets) or len(offsets) != 2:  # noqa: PLR2004
        raise DamageError(f"{where}: not a tensor that a part may hold", path=path)
    begin, end = offsets
    if end - begin != _product(shape, item):
        raise DamageError(f"{where}: {end - begin} bytes do not fit dtype {dtype} and shape {shape}", path=path)
    return dtype, tuple(shape), base + begin, base + end


def _product(shape: list[int], item: int) -> int:
    """Return the bytes of an array, or -1 if they are more than any file can have."""
    size = item
    for length in sorted(shape):
        size *= length
        if size >= _LIMIT:
            return -1
    return size


def _are_lengths(values: Any) -> bool:
    return isinstance(values, list) and all(type(v) is int and 0 <= v < _LIMIT for v in values)
