"""The envelope of every table on disk: one JSON object whose last member is the digest of all bytes before it.

It is the same for every version of the format, so that damage is told from a newer version. JSON is read
strictly: no duplicate keys, no NaN, no overflow, bounded size, depth and count.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from outlast.errors import DamageError
from outlast.format.digest import HEX_CHARS, hexdigest

MAX_BYTES = 256 << 20
MAX_DEPTH = 128
MAX_VALUES = 8 << 20
_MAX_INT_CHARS = 20  # 2**63 has 19 digits
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def seal(table: dict[str, Any], key: str = "digest") -> bytes:
    """Return `table` as one line of JSON that ends in its digest. What has no UTF-8 form becomes "?"."""
    if not table or key in table:
        raise ValueError(f"a table to be sealed has members, and none is called {key!r}")
    text = json.dumps(table, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return seal_body(text[:-1].encode(errors="replace"), key)


def seal_body(body: bytes, key: str = "digest") -> bytes:
    """Seal JSON text that lacks its closing brace."""
    return body + _tail(body, key)


def unseal(data: bytes, key: str = "digest", path: str = "") -> dict[str, Any]:
    """Check the digest, then parse. The digest itself is left out.

    Raises:
        DamageError: any byte differs from what was sealed, or the text is not what the format allows.
    """
    tail_bytes = len(key) + HEX_CHARS + 8
    if not tail_bytes < len(data) <= MAX_BYTES:
        raise DamageError(f"{path} has {len(data)} bytes, which no whole table has", path=path)
    body = data[:-tail_bytes]
    if data[-tail_bytes:] != _tail(body, key):
        raise DamageError(f"{path} differs from what was written: its digest does not match", path=path)
    table = parse(body + b"}", path)
    if not table or key in table:
        raise DamageError(f"{path} is empty, or its {key!r} stands twice", path=path)
    return table


def parse(text: bytes, path: str = "") -> dict[str, Any]:
    """Parse strict JSON that is an object. Raises DamageError."""
    found = load(text, path)
    if not isinstance(found, dict):
        raise DamageError(f"{path} is not a table", path=path)
    return found


def load(text: bytes, path: str = "") -> Any:
    """Parse strict JSON. Raises DamageError."""
    check_shape(text, path)
    try:
        found = json.loads(
            text.decode(),
            object_pairs_hook=_unique,
            parse_int=_int,
            parse_float=_float,
            parse_constant=_refuse,
        )
        if _SURROGATE.search(text):  # pairs are fine, lone ones are no text
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as e:
        raise DamageError(f"{path} is not a valid table: {e}", path=path) from None
    return found


def _tail(body: bytes, key: str) -> bytes:
    return f',"{key}":"{hexdigest(body)}"}}\n'.encode()


def check_shape(text: bytes, path: str) -> None:
    """Raise DamageError for JSON that is too deep or has too many values, before a parser sees it.

    Strings are cut out, then innermost brackets are taken away level by level: what is left after MAX_DEPTH
    levels is too deep, or not JSON. Up to the first error in the text this reads it as a parser does.
    """
    bare = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    if bare.count(b'"') > 2 * MAX_VALUES:
        raise DamageError(f"{path} holds more than {MAX_VALUES} strings", path=path)
    bare = b"".join(bare.split(b'"')[::2])
    rest = bare.translate(_BRACKETS, _NOT_BRACKETS)
    if bare.count(b",") + len(rest) > MAX_VALUES:
        raise DamageError(f"{path} holds more than {MAX_VALUES} values", path=path)
    for _ in range(MAX_DEPTH):
        if not rest:
            return
        rest = rest.replace(b"[]", b"")
    if rest:
        raise DamageError(f"{path} nests deeper than {MAX_DEPTH}, or is not a table", path=path)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


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
