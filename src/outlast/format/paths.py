"""Paths of nodes and leaves: how keys become path segments, the same way at capture and at restore.

They are made from the nodes of keys, not from the keys: a `repr` changes with versions and hash seeds.
Segments are unique among siblings and "/" occurs only between them, so a path is unique in a tree.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from outlast.format.model import Node

_PLAIN = re.compile(r"[^/%\x00-\x1f\x7f\ud800-\udfff]+")
_UNSAFE = re.compile(r"[/%\x00-\x1f\x7f\ud800-\udfff]")
_LONGEST = 255
_KEPT = 200


def segment(key: Node) -> str:
    """Return the path segment of a key's node: a plain string itself, else percent-encoded."""
    text = key if isinstance(key, str) else _text(key)
    if len(text) <= _LONGEST and _PLAIN.fullmatch(text) and text not in {".", ".."}:
        return text
    return _shortened(_escaped(text))


def segments(keys: Iterable[Node]) -> list[str]:
    """Return a segment for each key; equal ones (``1`` and ``"1"``) are told apart by a suffix ``~2``."""
    names = [segment(key) for key in keys]
    if len(set(names)) == len(names):
        return names
    taken: set[str] = set()
    return [_untaken(name, taken) for name in names]


def _text(key: Node) -> str:
    if not isinstance(key, dict):
        return key if isinstance(key, str) else json.dumps(key)
    if isinstance(key.get("items"), (list, tuple)):
        return "(" + ", ".join(_text(item) for item in key["items"]) + ")"
    parts = (key[name] for name in ("name", "value", "iso", "bits", "base64", "state") if name in key)
    return " ".join(_text(part) for part in parts) or json.dumps(key)


def _escaped(text: str) -> str:
    if text in {"", ".", ".."}:
        return "%" + "%2E" * len(text)
    return _UNSAFE.sub(_percent, text)


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))


def _shortened(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    from hashlib import blake2s

    return f"{text[:_KEPT]}~{blake2s(text.encode(), digest_size=8).hexdigest()}"


def _untaken(name: str, taken: set[str]) -> str:
    unique, number = name, 1
    while unique in taken:
        number += 1
        unique = f"{name}~{number}"
    taken.add(unique)
    return unique
