"""Manifests made to cost a reader as much as they can: the most of one thing that the format's limits let through.

Each is sealed with a right digest, as somebody can who writes to a store.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from outlast.errors import DamageError
from outlast.format import envelope
from outlast.format.envelope import MAX_BYTES, seal_body
from outlast.format.manifest import KEY

STEP = "step-000000003.a0001"
_PROBE = 512
_HOLE = "\0hole"

Item = Callable[[int], str]
Table = dict[str, Any]


def sealed(text: str) -> bytes:
    """Seal JSON text of an object."""
    return seal_body(text.encode().rstrip()[:-1], KEY)


def filled(table: Table, place: str, item: Item, head: str = "[", tail: str = "]", *, times: float = 0.98) -> bytes:
    """Fill a top-level member with `head`, items and `tail`: as many as the limits let through, `times` so many."""
    before, after = json.dumps({**table, place: _HOLE}).split(json.dumps(_HOLE))

    def text(count: int) -> str:
        return before + head + ",".join(map(item, range(count))) + tail + after

    return sealed(text(int(times * _most(text))))


def _most(text: Callable[[int], str]) -> int:
    """How many items fit: by the weight and the size of some hundreds, and a little less."""
    sizes = [_cost(text(count)) for count in (_PROBE, 2 * _PROBE)]
    rates = [(two - one) / _PROBE for one, two in zip(*sizes, strict=True)]
    limits = (envelope.MAX_WEIGHT, MAX_BYTES)
    return int(min(limit / max(rate, 1e-9) for limit, rate in zip(limits, rates, strict=True)))


def _cost(text: str) -> tuple[int, int]:
    data = text.encode()
    try:
        return envelope.weigh(data, "")[0], len(data)
    except DamageError:  # too deep: told before it is weighed
        return 1, len(data)


def _leaf(i: int, **more: Any) -> str:
    row = {"path": f"l{i}", "dtype": "uint8", "shape": [0], "bytes": 0, "rank": 0, "extents": [], "chunks": []}
    return json.dumps({**row, **more}, separators=(",", ":"))


def _part(i: int) -> str:
    where = f"step-{i:09d}.a0001/part-00000.safetensors"
    row = {"path": where, "rank": 0, "bytes": 1 << 40, "header_bytes": 16, "header_digest": "ab" * 16}
    return json.dumps(row, separators=(",", ":"))


def _file(i: int) -> str:
    row = {"component": "c", "path": f"f{i}", "at": f"{STEP}/files/c/f{i}", "bytes": 0, "chunks": []}
    return json.dumps(row, separators=(",", ":"))


def _box(i: int) -> str:
    return _leaf(0, shape=[1, 0], offset=[i, 0], global_shape=[1 << 20, 0])


def _with_leaf(**more: Any) -> tuple[str, str]:
    """The text before and after a list in the one leaf of a table."""
    row = json.dumps([json.loads(_leaf(0, **{"bytes": 1 << 40, "shape": [1 << 40], **more}))])
    before, after = row.split(json.dumps(_HOLE))
    return before + "[", "]" + after


WIDE = "\U0001f4a3"
SAME = '{"$":"same","path":"nowhere"}'

_NESTED = '{"$":"dict","items":[[{"$":"tuple","items":[' * 20, "]},0]]}" * 20  # a key in a key in a key
_DEEP = "".join(f'{{"{"k" * 250}{i}":' for i in range(90))

# name: the member, an item, and what is around all items (a list, if nothing is said).
# In `x-a` stands what is parsed and then ignored; in `tree` the nodes are looked at too.
FILLS: dict[str, tuple[str, Item, str, str] | tuple[str, Item]] = {
    "ints": ("x-a", lambda i: "999"),
    "floats": ("x-a", lambda i: "1.5"),
    "small-ints": ("x-a", lambda i: "1"),
    "strings": ("x-a", lambda i: '"ab"'),
    "long-strings": ("x-a", lambda i: f'"{"x" * 65536}"'),
    "wide-strings": ("x-a", lambda i: f'"{WIDE}{"x" * 30}"'),
    "escapes": ("x-a", lambda i: '"\\ud83d\\udca3"'),
    "backslashes": ("x-a", lambda i: '"\\\\\\""'),
    "lists": ("x-a", lambda i: "[]"),
    "lists-of-one": ("x-a", lambda i: "[1]"),
    "dicts": ("x-a", lambda i: "{}"),
    "dicts-of-one": ("x-a", lambda i: '{"a":1}'),
    "dicts-of-six": ("x-a", lambda i: '{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1}'),
    "dicts-of-eleven": ("x-a", lambda i: "{" + ",".join(f'"{c}":1' for c in "abcdefghijk") + "}"),
    "different-names": ("x-a", lambda i: f'{{"{i:x}":1}}'),
    "one-dict": ("x-a", lambda i: f'"{i:x}":1', "{", "}"),
    "one-dict-of-floats": ("x-a", lambda i: f'"{i:x}":1.5', "{", "}"),
    "deep-lists": ("x-a", lambda i: "[" * 100 + "]" * 100),
    "brackets": ("x-a", lambda i: "["),
    "closing": ("x-a", lambda i: "]"),
    "digits": ("x-a", lambda i: "9" * 60000),
    "metrics": ("metrics", lambda i: f'"m{i:x}":1', "{", "}"),
    "writer": ("writer", lambda i: f'"m{i:x}":"1"', "{", "}"),
    "requires": ("requires", lambda i: '"a"'),
    "parts": ("parts", _part),
    "leaves": ("leaves", _leaf),
    "rows-of-nothing": ("leaves", lambda i: "{}"),
    "boxes": ("leaves", _box),
    "files": ("files", _file),
    "shape": ("leaves", lambda i: "1", *_with_leaf(shape=_HOLE)),
    "chunks": ("leaves", lambda i: f'"{i:032x}"', *_with_leaf(chunks=_HOLE)),
    "extents": ("leaves", lambda i: f"[0,{512 + i},1]", *_with_leaf(extents=_HOLE)),
    "tree-lists": ("tree", lambda i: "[]", '{"a":[', "]}"),
    "tree-dicts": ("tree", lambda i: '{"a":1}', '{"a":[', "]}"),
    "tree-names": ("tree", lambda i: f'"{i:x}":[]', "{", "}"),
    "tree-ints": ("tree", lambda i: '{"$":"int","value":"7"}', '{"a":[', "]}"),
    "tree-bytes": ("tree", lambda i: '{"$":"bytes","base64":"AAAA"}', '{"a":[', "]}"),
    "tree-pairs": ("tree", lambda i: f"[{i},0]", '{"a":{"$":"dict","items":[', "]}}"),
    "tree-keys": ("tree", lambda i: '{"$":"dict","items":[[[[0]],0]]}', '{"a":[', "]}"),
    "tree-sames": ("tree", lambda i: SAME, '{"a":[', "]}"),
    "tree-enums": ("tree", lambda i: '{"$":"enum","class":"os","name":"system"}', '{"a":[', "]}"),
    "tree-deep-paths": ("tree", lambda i: "[]", _DEEP + "[", "]" + "}" * 90),
    "tree-deep-paths-and-a-tie": (
        "tree", lambda i: "[]", '{"y":' + _DEEP + "[", "]" + "}" * 90 + ',"z":{"$":"same","path":"z"}}'
    ),
    "tree-long-keys": ("tree", lambda i: f'{{"{"k" * 60000}{i}":[]}}', '{"a":[', "]}"),
    "tree-nested-keys": ("tree", lambda i: "0", '{"a":' + _NESTED[0], _NESTED[1] + "}"),
    "position": ("position", lambda i: f'{{"list":[{i}]}}', '{"dict":[', "]}"),
}  # fmt: skip


BOMBS = [*FILLS, *(f"{name}-too-many" for name in FILLS), "256-MiB-of-brackets", "2^23-values"]


def bomb(name: str, table: Table) -> bytes:
    """Build a bomb from a valid manifest's table."""
    if name == "256-MiB-of-brackets":
        return sealed(json.dumps(table)[:-1] + ',"x-a":' + "[" * (256 << 20) + "}")
    if name == "2^23-values":
        return sealed(json.dumps(table)[:-1] + ',"x-a":[' + "1," * (1 << 23) + "1]}")
    fill = name.removesuffix("-too-many")
    return filled(table, *FILLS[fill], times=0.98 if name == fill else 2.5)
