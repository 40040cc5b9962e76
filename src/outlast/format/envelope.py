"""The envelope of every table on disk: one JSON object whose last member is the digest of all bytes before it.

It is the same for every version of the format, so that damage is told from a newer version. JSON is read
strictly: no duplicate keys, no NaN, no overflow, bounded size, depth and count.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, NoReturn

from outlast.errors import DamageError
from outlast.format.digest import HEX_CHARS, hexdigest

MAX_BYTES = 64 << 20
MAX_DEPTH = 128
MAX_WEIGHT = 240 << 20
_VALUE, _MEMBER, _STRING, _ARRAY, _OBJECT, _NAME = 44, 24, 32, 64, 160, 64  # what each weighs: spec, S-14
_WIDE = 4  # bytes that a character may take in memory, if any is beyond ASCII
_MAX_INT_CHARS = 20  # 2**63 has 19 digits
_BLOCK_BYTES = 1 << 20
_LIGHT_BYTES = 64 << 10  # not even so many brackets would be too heavy
_KEPT = b"[]{},:"
_NOT_KEPT = bytes(set(range(256)) - set(_KEPT))
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NO_ESCAPE = re.compile(rb"[^\\]")
_LONE_SURROGATE = re.compile(rb"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]", re.DOTALL)


class Text(NamedTuple):
    """JSON text that a parser may be given: neither too deep nor too heavy.

    Args:
        text: the text.
        members: of all its objects together, by which a name that stands twice is noticed; None: not counted.
    """

    text: str
    members: int | None


def seal(table: dict[str, Any], key: str = "digest") -> bytes:
    """Return `table` as one line of JSON that ends in its digest. What has no UTF-8 form becomes "?"."""
    if not table or key in table:
        raise ValueError(f"a table to be sealed has members, and none is called {key!r}")
    text = json.dumps(table, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return seal_body(text[:-1].encode(errors="replace"), key)


def seal_body(body: bytes, key: str = "digest") -> bytes:
    """Seal JSON text that lacks its closing brace."""
    return body + _tail(body, key)


def unseal(data: bytes | bytearray, key: str = "digest", path: str = "") -> dict[str, Any]:
    """Check the digest, then parse. The digest itself is left out.

    Raises:
        DamageError: any byte differs from what was sealed, or the text is not what the format allows.
    """
    return parse_sealed(open_sealed(data, key, path), key, path)


def open_sealed(
    data: bytes | bytearray,
    key: str = "digest",
    path: str = "",
    *,
    judge: Callable[[memoryview, str], None] | None = None,
) -> Text:
    """Check the digest, then ask `judge` about what was sealed, then check that a parser may see the text.

    Args:
        data: the file.
        key: the member that holds the digest.
        path: the file's, for messages.
        judge: is given JSON text that lacks its closing brace, and `path`; it raises if that is not to be believed.

    Raises:
        DamageError: it is not what was sealed, or not for a parser.
    """
    tail_bytes = len(key) + HEX_CHARS + 8
    if not tail_bytes < len(data) <= MAX_BYTES:
        raise DamageError(f"{path} has {len(data)} bytes, which no whole table has", path=path)
    with memoryview(data) as view:
        if view[-tail_bytes:] != _tail(view[:-tail_bytes], key):
            raise DamageError(f"{path} differs from what was written: its digest does not match", path=path)
        if judge:
            judge(view[:-tail_bytes], path)
    return _checked(data, path)


def parse_sealed(text: Text, key: str = "digest", path: str = "") -> dict[str, Any]:
    """Parse what `open_sealed` gave; the digest itself is left out. Raises DamageError."""
    table = _table(_parsed(text, path), path)
    del table[key]  # the last member, and no key stands twice
    if not table:
        raise DamageError(f"{path} is empty", path=path)
    return table


def parse(text: bytes, path: str = "") -> dict[str, Any]:
    """Parse strict JSON that is an object. Raises DamageError."""
    return _table(load(text, path), path)


def load(text: bytes, path: str = "") -> Any:
    """Parse strict JSON. Raises DamageError."""
    return _parsed(_checked(text, path), path)


def weigh(text: bytes | bytearray, path: str) -> tuple[int, int]:
    """Return the weight of JSON text (S-14: about the bytes that a reader needs for it), and its objects' members.

    Up to the first error in the text it is read as a parser reads it; behind that no parser gets.

    Raises:
        DamageError: it is too heavy, or too deep, for a parser to see it.
    """
    quotes, outside, brackets = 0, 0, []
    commas, members = 0, 0
    for pieces in _pieces(text):
        bare = b"".join(pieces[::2])
        quotes += len(pieces) - 1
        outside += len(bare)
        bare = bare.translate(None, _NOT_KEPT)
        commas += bare.count(b",")
        members += bare.count(b":")
        brackets.append(bare.translate(None, b",:"))
    rest = b"".join(brackets)
    arrays, objects, strings = rest.count(b"["), rest.count(b"{"), quotes // 2
    weight = (len(text) + max(0, len(text) - outside - quotes)) * (_WIDE if _is_wide(text) else 1)
    weight += _VALUE * (commas + arrays + objects) + _MEMBER * members + _STRING * max(0, strings - members)
    weight += _ARRAY * arrays + _OBJECT * objects
    if weight + _NAME * members > MAX_WEIGHT:  # looking which names differ takes time
        weight += _NAME * _different_names(text, (MAX_WEIGHT - weight) // _NAME)
    else:
        weight += _NAME * members
    if weight > MAX_WEIGHT:
        raise DamageError(f"{path} weighs {weight} with all its values, the limit is {MAX_WEIGHT}", path=path)
    _check_depth(rest.translate(_BRACKETS), path)
    return weight, members


def _checked(data: bytes | bytearray, path: str) -> Text:
    is_harmless = len(data) <= _LIGHT_BYTES and data.count(b"[") + data.count(b"{") <= MAX_DEPTH
    members = None if is_harmless else weigh(data, path)[1]
    if b"\\u" in data and _LONE_SURROGATE.search(data.replace(b"\\\\", b"  ")):
        raise DamageError(f"{path} is not a valid table: surrogates not allowed", path=path)
    try:
        return Text(data.decode(), members)
    except ValueError as e:
        raise DamageError(f"{path} is not a valid table: {e}", path=path) from None


def _parsed(text: Text, path: str) -> Any:
    counted = 0

    def count(table: dict[str, Any]) -> dict[str, Any]:
        nonlocal counted
        counted += len(table)
        return table

    hook = {"object_pairs_hook": _unique} if text.members is None else {"object_hook": count}
    try:
        found = json.loads(text.text, parse_int=_int, parse_float=_float, parse_constant=_refuse, **hook)
        if text.members not in (None, counted):
            raise ValueError("a key stands twice")
    except (ValueError, RecursionError) as e:
        raise DamageError(f"{path} is not a valid table: {e}", path=path) from None
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _table(found: Any, path: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise DamageError(f"{path} is not a table", path=path)
    return found


def _tail(body: bytes | memoryview, key: str) -> bytes:
    return f',"{key}":"{hexdigest(body)}"}}\n'.encode()


def _is_wide(text: bytes | bytearray) -> bool:
    return not text.isascii() or b"\\u" in text


def _pieces(text: bytes | bytearray) -> Iterator[list[bytes]]:
    """Yield what is outside and inside of strings in turn, block by block; a block begins and ends outside.

    Escaped quotes and backslashes are taken out first. A name and its colon may be in two blocks.
    """
    rest = b""
    at = 0
    while at < len(text):
        found = _NO_ESCAPE.search(text, min(at + _BLOCK_BYTES, len(text)) - 1)
        end = found.end() if found else len(text)
        block = bytes(text[at:end])
        if b"\\" in block:
            block = block.replace(b"\\\\", b"").replace(b'\\"', b"")
        pieces = (rest + block).split(b'"')
        at = end
        rest = b'"' + pieces.pop() if len(pieces) % 2 == 0 else b""
        if rest and at >= len(text):
            pieces[-1:] = [pieces[-1], rest[1:], b""]  # a string without end
        yield pieces


def _different_names(text: bytes | bytearray, enough: int) -> int:
    """Count the different names of members, up to a little more than `enough`."""
    names: set[bytes] = set()
    last = b""
    for pieces in _pieces(text):
        if pieces[0].lstrip()[:1] == b":":
            names.add(last)
        names.update(
            [name for name, after in zip(pieces[1::2], pieces[2::2], strict=True) if after.lstrip()[:1] == b":"]
        )
        last = pieces[-2] if len(pieces) > 1 else b""
        if len(names) > enough:
            break
    return len(names)


def _check_depth(rest: bytes, path: str) -> None:
    """Take innermost brackets away level by level: what is left after MAX_DEPTH levels is too deep, or not JSON."""
    for _ in range(MAX_DEPTH):
        if not rest:
            return
        size = len(rest)
        rest = rest.replace(b"[]", b"")
        if len(rest) == size:
            break
    if rest:
        raise DamageError(f"{path} nests deeper than {MAX_DEPTH}, or is not a table", path=path)


def _int(text: str) -> int:
    if len(text) > _MAX_INT_CHARS:
        raise ValueError(f"a whole number of {len(text)} digits")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large a number")
    return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number that the format allows")
