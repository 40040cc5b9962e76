"""The rows of a manifest: parts, leaves and files as JSON, and back. Types and ranges; how they fit is `rules`."""

from __future__ import annotations

from collections.abc import Collection
from reprlib import repr as short
from typing import Any

from outlast.errors import DamageError
from outlast.format.model import Codec, Extent, Leaf, Part, StoredFile

INT_LIMIT = 1 << 63
_PART = {"path", "rank", "bytes", "header_bytes", "header_digest"}
_LEAF = {"path", "dtype", "shape", "bytes", "rank", "extents", "chunks"}
_BOX = _LEAF | {"global_shape", "offset"}
_FILE = {"component", "path", "at", "bytes", "chunks"}
_EXTENT_MEMBERS = 3
_CODEC_MEMBERS = 3


def part(row: Any) -> Part:
    _members(row, _PART, "a part")
    path = string(row["path"], "a part's path")
    return Part(
        path=path,
        rank=integer(row["rank"], path),
        size_bytes=integer(row["bytes"], path),
        header_bytes=integer(row["header_bytes"], path),
        header_digest=string(row["header_digest"], path),
    )


def leaf(row: Any) -> Leaf:
    is_box = isinstance(row, dict) and ("offset" in row or "global_shape" in row)
    is_packed = isinstance(row, dict) and "codec" in row
    _members(row, (_BOX if is_box else _LEAF) | ({"codec"} if is_packed else set()), "a leaf")
    path = string(row["path"], "a leaf's path")
    where = f"leaf {path[:200]}"
    return Leaf(
        path=path,
        dtype=string(row["dtype"], where),
        shape=_integers(row["shape"], where),
        size_bytes=integer(row["bytes"], where),
        extents=tuple([_extent(extent, where) for extent in items(row["extents"], where)]),
        chunks=strings(row["chunks"], where),
        rank=integer(row["rank"], where),
        global_shape=_integers(row["global_shape"], where) if is_box else None,
        offset=_integers(row["offset"], where) if is_box else None,
        codec=_codec(row["codec"], where) if is_packed else None,
    )


def file(row: Any) -> StoredFile:
    _members(row, _FILE, "a file")
    at = string(row["at"], "a file's place")
    return StoredFile(
        component=string(row["component"], at),
        path=string(row["path"], at),
        at=at,
        size_bytes=integer(row["bytes"], at),
        chunks=strings(row["chunks"], at),
    )


def part_row(one: Part) -> dict[str, Any]:
    return {
        "path": one.path,
        "rank": one.rank,
        "bytes": one.size_bytes,
        "header_bytes": one.header_bytes,
        "header_digest": one.header_digest,
    }


def leaf_row(one: Leaf) -> dict[str, Any]:
    row: dict[str, Any] = {
        "path": one.path,
        "dtype": one.dtype,
        "shape": one.shape,
        "bytes": one.size_bytes,
        "rank": one.rank,
        "extents": [(e.part, e.at, e.size_bytes) for e in one.extents],
        "chunks": one.chunks,
    }
    if one.offset is not None or one.global_shape is not None:
        row |= {"global_shape": one.global_shape, "offset": one.offset}
    if one.codec is not None:
        row["codec"] = (one.codec.name, one.codec.width, one.codec.sizes)
    return row


def file_row(one: StoredFile) -> dict[str, Any]:
    return {
        "component": one.component,
        "path": one.path,
        "at": one.at,
        "bytes": one.size_bytes,
        "chunks": one.chunks,
    }


def integer(value: Any, where: str, least: int = 0, limit: int = INT_LIMIT) -> int:
    """Return a whole number; `true` is none."""
    if type(value) is not int or not least <= value < limit:
        raise DamageError(f"{where}: {short(value)} is not a whole number from {least} to {limit - 1}")
    return value


def string(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise DamageError(f"{where}: {short(value)} is not a string")
    return value


def items(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise DamageError(f"{where}: {short(value)} is not a list")
    return value


def strings(value: Any, where: str) -> tuple[str, ...]:
    found = tuple(items(value, where))
    if not set(map(type, found)) <= {str}:
        raise DamageError(f"{where}: a list holds something else than strings")
    return found


def _integers(value: Any, where: str) -> tuple[int, ...]:
    return tuple([integer(one, where) for one in items(value, where)])


def _extent(row: Any, where: str) -> Extent:
    if not isinstance(row, list) or len(row) != _EXTENT_MEMBERS:
        raise DamageError(f"{where}: an extent is not [part, offset, bytes]")
    return Extent(part=integer(row[0], where), at=integer(row[1], where), size_bytes=integer(row[2], where, 1))


def _codec(row: Any, where: str) -> Codec:
    if not isinstance(row, list) or len(row) != _CODEC_MEMBERS:
        raise DamageError(f"{where}: its codec is not [name, width, sizes]")
    return Codec(name=string(row[0], where), width=integer(row[1], where), sizes=_integers(row[2], where))


def _members(row: Any, expected: Collection[str], what: str) -> None:
    if not isinstance(row, dict):
        raise DamageError(f"{what} is {short(row)}, expected an object")
    if row.keys() != expected:
        raise DamageError(f"{what} has the members {short(sorted(row))}, expected {sorted(expected)}")
