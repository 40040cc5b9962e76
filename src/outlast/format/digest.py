"""Digests of bytes as lower-case hex, one for each chunk of a leaf.

XXH3-128 finds accidents at memory speed. It is no defence against somebody who looks for other bytes with the same
digest: for that, where manifests are signed, there is BLAKE3 if its package is installed, else SHA-256.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

import xxhash

NAME = "xxh3-128"
STRONG = "sha256"
BLAKE3 = "blake3"
SIGNABLE = frozenset({STRONG, BLAKE3})
HEX_CHARS = 32
_AT_ONCE = 1 << 16
_CHARS = {NAME: HEX_CHARS, STRONG: 64, BLAKE3: 64}
KNOWN = frozenset(_CHARS)
_MANY = {name: re.compile(rf"(?:[0-9a-f]{{{chars}}} )*") for name, chars in _CHARS.items()}


def _xxh3(data: bytes | bytearray | memoryview) -> str:
    return str(xxhash.xxh3_128_hexdigest(data))


def _sha256(data: bytes | bytearray | memoryview) -> str:
    running = _start_sha256()
    running.update(data)  # releases the GIL, as xxhash does
    return str(running.hexdigest())


def _start_sha256() -> Any:
    """Load the module; only who meets such a digest needs it, and OpenSSL with it."""
    from hashlib import sha256

    return sha256()


@functools.cache
def _blake3_kind() -> Callable[..., Any]:
    """Load the package; only who meets such a digest needs it."""
    from blake3 import blake3

    return blake3


def _start_blake3() -> Any:
    return _blake3_kind()()  # hashes in this thread alone: the threads are ours


def _blake3(data: bytes | bytearray | memoryview) -> str:
    return str(_blake3_kind()(data).hexdigest())


def has_blake3() -> bool:
    """Say whether BLAKE3 digests can be taken here."""
    try:
        _blake3_kind()
    except ImportError:
        return False
    return True


_TAKE: dict[str, Callable[[bytes | bytearray | memoryview], str]] = {NAME: _xxh3, STRONG: _sha256, BLAKE3: _blake3}
_START: dict[str, Callable[[], Any]] = {
    NAME: xxhash.xxh3_128,
    STRONG: _start_sha256,
    BLAKE3: _start_blake3,
}


def hexdigest(data: bytes | bytearray | memoryview, name: str = NAME) -> str:
    """Return the digest of `data`, of the kind `name`."""
    return _TAKE[name](data)


class Running:
    """A digest of bytes that come in pieces."""

    def __init__(self, name: str = NAME) -> None:
        self._state = _START[name]()

    def add(self, data: memoryview) -> None:
        self._state.update(data)

    def hexdigest(self) -> str:
        return str(self._state.hexdigest())


def chunk_digests(data: memoryview, chunk_bytes: int, name: str = NAME) -> tuple[str, ...]:
    """Return the digest of each chunk of `data`, which is contiguous; none for no bytes."""
    if not data.nbytes:
        return ()
    view, take = data.cast("B"), _TAKE[name]
    return tuple(take(view[at : at + chunk_bytes]) for at in range(0, data.nbytes, chunk_bytes))


def is_digest(text: object, name: str = NAME) -> bool:
    """Say whether `text` has the form of a digest."""
    return isinstance(text, str) and are_digests((text,), name)


def are_digests(texts: Sequence[str], name: str = NAME) -> bool:
    """Say whether all have that form: one look at many, since a checkpoint has up to millions."""
    if len(texts) <= _AT_ONCE:
        return _are_digests(texts, name)
    return all(_are_digests(texts[at : at + _AT_ONCE], name) for at in range(0, len(texts), _AT_ONCE))


def _are_digests(texts: Sequence[str], name: str) -> bool:
    joined = " ".join([*texts, ""])
    return len(joined) == len(texts) * (_CHARS[name] + 1) and _MANY[name].fullmatch(joined) is not None
