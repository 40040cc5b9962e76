#!/usr/bin/env python3
"""Makes the vectors beside it, again the same bytes. Needs only the standard library and xxhash.

It shares no code with any reader or writer: tables are built as plain JSON and sealed here. Run it after a
change of the format: `python spec/vectors/make.py`. `build()` gives the files without writing them.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import xxhash

# Invalid ones that JSON Schema cannot tell. (Of what is no JSON it is not asked.)
BEYOND_SCHEMA = """
box-and-whole box-gap box-of-another-dtype box-of-another-whole box-of-other-dimensions box-outside
box-overlap-of-the-right-volume box-overlap box-split-along-five-axes box-thrice box-twice chunk-missing
chunk-of-another-digest chunk-of-empty-leaf chunk-too-many codec-longer-than-the-chunk codec-longer-than-the-last-chunk codec-not-of-the-extents codec-of-nothing
codec-ratio codec-too-few codec-too-many codec-width-of-no-whole-items
digest-alone digest-blake3-of-another-length digest-cut-short digest-flipped-bit digest-then-more
digest-twice digest-with-space digest-without-newline dtype-big-endian dtype-object dtype-struct-big-endian
dtype-struct-deep dtype-struct-field-twice dtype-struct-huge dtype-struct-negative dtype-struct-not-json
dtype-struct-object-of-json dtype-struct-object dtype-text-zeros-in-front dtype-time-unit-unknown
dtype-time-without-unit dtype-unknown empty-file extent-behind-the-end extent-in-header extent-of-no-part
extents-missing extents-of-one-leaf-overlap extents-of-two-leaves-overlap extents-too-short
file-at-another-path file-chunk-missing file-name-too-long file-of-two-places file-twice json-byte-order-mark
json-control-character json-cut json-deep json-infinity json-key-twice-escaped json-key-twice
json-lone-surrogate json-long-number json-nan json-not-utf8 json-open-brackets json-overflow
leaf-empty-and-huge leaf-rank-too-high leaf-shape-float leaf-shape-too-large leaf-text-of-two-dimensions
leaf-twice node-array-of-a-string node-array-order-of-one-axis node-bytes-of-an-array node-bytes-too-long node-deque-overfull
node-dict-in-a-key node-dict-key-twice node-int-beyond-53-bits node-leaf-unknown node-plug-in-leaf-unknown
node-same-in-position node-same-of-a-later-node node-same-of-a-plain-value node-same-of-an-unknown-path
node-same-of-what-holds-it node-scalar-with-dimensions node-str-of-an-array part-header-longer-than-part part-name-of-another-rank
part-of-attempt-zero part-of-newer-attempt part-rank-too-high part-twice
ranks-a-node-of-nobody ranks-leaf-of-nobody ranks-not-told ranks-of-a-node-that-is-not-there ranks-of-too-few ranks-own-leaf-of-another-rank ranks-told-and-not-used
step-float zeros
"""

Table = dict[str, Any]
HERE = Path(__file__).resolve().parent
STORE = "00112233445566778899aabbccddeeff"
STEP = "step-000001200.a0003"
DATA = 512  # where the parts' data begins
CHUNK = 64
KEY = "manifest_digest"
SECRET = bytes(range(32))  # the key that the signed ones are signed with; index.json gives it in hex


def digest(data: bytes) -> str:
    return xxhash.xxh3_128_hexdigest(data)


def chunks(size: int, chunk_bytes: int = CHUNK) -> list[str]:
    """Digests of the right number and form; of which bytes does not matter to a manifest."""
    return [digest(b"%d" % k) for k in range(-(-size // chunk_bytes))]


def seal(body: bytes, key: str = KEY) -> bytes:
    return body + f',"{key}":"{digest(body)}"}}\n'.encode()


def signature(body: bytes, secret: bytes = SECRET) -> bytes:
    """What signs a body: the last member but one."""
    return f',"manifest_hmac":"{hmac.new(secret, body, hashlib.sha256).hexdigest()}"'.encode()


def text_of(table: Table, **how: Any) -> bytes:
    how = {"separators": (",", ":"), "ensure_ascii": False, **how}
    return json.dumps(table, **how).encode()


def sealed(table: Table) -> bytes:
    return seal(text_of(table)[:-1])


def part(size: int, *, rank: int = 0, where: str = STEP) -> Table:
    return {
        "path": f"{where}/part-{rank:05d}.safetensors",
        "rank": rank,
        "bytes": DATA + size,
        "header_bytes": DATA,
        "header_digest": digest(b"header"),
    }


def leaf(path: str, dtype: str, shape: list[int], size: int, at: int, **more: Any) -> Table:
    extents = [[0, DATA + at, size]] if size else []
    row = {"path": path, "dtype": dtype, "shape": shape, "bytes": size, "rank": 0, "extents": extents}
    return {**row, "chunks": chunks(size), **more}


def file(path: str, size: int, *, component: str = "sim", where: str = STEP) -> Table:
    at = f"{where}/files/{component}/{path}"
    return {"component": component, "path": path, "at": at, "bytes": size, "chunks": chunks(size)}


def manifest(**more: Any) -> Table:
    """A table with nothing in it."""
    table = {
        "format": "outlast-checkpoint",
        "version": 1,
        "requires": [],
        "store": STORE,
        "step": 1200,
        "attempt": 3,
        "revision": 0,
        "done": False,
        "created": "2026-11-24T03:00:00.000Z",
        "writer": {"vectors": "1"},
        "ranks": 1,
        "digest": "xxh3-128",
        "chunk_bytes": CHUNK,
        "parts": [],
        "leaves": [],
        "files": [],
        "tree": {},
        "position": None,
        "metrics": {},
    }
    return {**table, **more}


def base() -> Table:
    """A small whole table, for the invalid ones to break: two arrays, a long string, a file."""
    return manifest(
        parts=[part(360)],
        leaves=[
            leaf("model/w", "float32", [10, 5], 200, 0),
            leaf("model/b", "float64", [5], 40, 200),
            leaf("log", "utf8", [120], 120, 240),
        ],
        files=[file("restart.dat", 100)],
        tree={
            "model": {"w": {"$": "array", "leaf": "model/w"}, "b": {"$": "array", "leaf": "model/b"}},
            "log": {"$": "str", "leaf": "log"},
            "t": 0.5,
        },
        metrics={"loss": 0.25},
    )


# valid: name -> (ids, what it shows, bytes)

Valid = dict[str, tuple[str, str, bytes]]
VALID: Valid = {}


def valid(name: str, ids: str, about: str, table: Table | bytes) -> None:
    VALID[name] = (ids, about, table if isinstance(table, bytes) else sealed(table))


def arrays(rows: list[tuple[str, list[int], int]]) -> Table:
    """One leaf of each (dtype, shape, bytes), one behind the other."""
    leaves, tree, at = [], {}, 0
    for number, (dtype, shape, size) in enumerate(rows):
        path = f"a/{number}"
        leaves.append(leaf(path, dtype, shape, size, at))
        kind = {"utf8": "str", "bytes": "bytes"}.get(dtype, "array")
        tree[str(number)] = {"$": kind, "leaf": path}
        at += size
    return manifest(parts=[part(at)], leaves=leaves, tree={"a": tree})


def boxes(whole: list[int], rows: list[tuple[int, list[int], list[int]]]) -> Table:
    """Boxes of one int8 array: (rank, offset, shape), each in the part of its rank."""
    leaves, fill = [], {}
    for rank, offset, shape in rows:
        size = 1
        for length in shape:
            size *= length
        at = fill.get(rank, 0)
        fill[rank] = at + size
        extents = [[rank, DATA + at, size]] if size else []
        more = {"rank": rank, "extents": extents, "global_shape": whole, "offset": offset}
        leaves.append(leaf("u", "int8", shape, size, 0, **more))
    parts = [part(fill[rank], rank=rank) for rank in sorted(fill)]
    tree = {"u": {"$": "array", "leaf": "u"}}
    return manifest(ranks=len(parts), parts=parts, leaves=leaves, tree=tree)


def own() -> Table:
    """Two ranks: `u` alike on both, `r` and the position not; `v` has other bytes on rank 1."""
    array = {"$": "array", "leaf": "v"}
    leaves = [
        leaf("u", "int8", [4], 4, 0),
        leaf("v", "int8", [4], 4, 4),
        leaf("%rank1/v", "int8", [4], 4, 0, rank=1, extents=[[1, DATA, 4]]),
    ]
    tree = {"u": {"$": "array", "leaf": "u"}, "v": array, "r": {"$": "ranks", "of": [1, 0], "nodes": [1, [array]]}}
    position = {"$": "ranks", "of": [0, 1], "nodes": [{"steps": 1}, {"steps": 2}]}
    told = {"requires": ["ranks"], "tree": tree, "position": position}
    return manifest(ranks=2, parts=[part(8), part(4, rank=1)], leaves=leaves, **told)


def every_node() -> Table:
    table = manifest(
        parts=[part(80_000)],
        leaves=[
            leaf("array", "float32", [2, 2], 16, 0),
            leaf("scalar", "int64", [], 8, 16),
            leaf("tensor", "bfloat16", [3], 6, 24),
            leaf("text", "utf8", [70_000], 70_000, 30),
            leaf("raw", "bytes", [5_000], 5_000, 70_030),
            leaf("plug", "uint8", [4], 4, 75_030),
        ],
    )
    named = {"$": "enum", "class": "shop.Colour", "name": "RED"}
    table["tree"] = {
        "plain": [None, True, False, 0, -1, 2**53, -(2**53), 0.5, -0.0, 1e300, 5e-324, "", "naïve ☃ 𝄞", "nul\0"],
        "nested": {"": {}, "a/b": [], 'key with "quotes"': [[], {}]},
        "int": {"$": "int", "value": str(10**30)},
        "float": [{"$": "float", "bits": "7ff0000000000000"}, {"$": "float", "bits": "fff8000000000001"}],
        "complex": {"$": "complex", "bits": "3ff0000000000000c000000000000000"},
        "str": {"$": "str", "leaf": "text"},
        "bytes": [
            {"$": "bytes", "leaf": "raw"},
            {"$": "bytes", "base64": ""},
            {"$": "bytearray", "base64": base64.b64encode(bytes(range(256)) * 16).decode()},
        ],
        "dict": {"$": "dict", "items": [[1, "int"], [True, "bool"], ["$", 0], [{"$": "tuple", "items": [1, "a"]}, []]]},
        "items": [
            {"$": "tuple", "items": [1, [2]]},
            {"$": "set", "items": [1, "a"]},
            {"$": "frozenset", "items": []},
            {"$": "deque", "items": [1, 2], "maxlen": 2},
            {"$": "deque", "items": [], "maxlen": None},
        ],
        "array": {"$": "array", "leaf": "array", "resized": True, "order": [1, 0]},
        "scalar": {"$": "scalar", "leaf": "scalar"},
        "tensor": {"$": "tensor", "leaf": "tensor", "requires_grad": True},
        "times": [
            {"$": "date", "iso": "2026-11-24"},
            {"$": "datetime", "iso": "2026-11-24T03:00:00.000001+01:00"},
            {"$": "datetime", "iso": "2026-10-25T02:30:00", "fold": 1},
            {"$": "time", "iso": "23:59:59"},
            {"$": "timedelta", "days": -1, "seconds": 3, "microseconds": 5},
        ],
        "path": {"$": "path", "value": "/data/in"},
        "enum": named,
        "fixed": {"$": "fixed", "name": "math.sqrt"},
        "object": {"$": "object", "class": "shop.Basket", "state": {"items": [named]}},
        "dataclass": {"$": "dataclass", "class": "shop.Item", "fields": {"price": 3, "name": "tea"}},
        "namedtuple": {"$": "namedtuple", "class": "shop.Point", "fields": {"x": 1, "y": 2}},
        "adapter": {"$": "adapter", "name": "torch.module", "class": "shop.Net", "state": {}},
        "same": {"$": "same", "path": "object"},
        "view": {"$": "same", "path": "array", "view": True},
        "plug-in": {"$": "cupy.array", "leaf": "plug", "device": 0},
    }
    table["position"] = {"loops": [{"name": "epoch", "done": 3}], "steps": {"$": "tuple", "items": [1]}}
    return table


def packed() -> Table:
    """The base table, two leaves of it compressed: one regrouped, of one the second chunk stored as it is."""
    table = base()
    table["requires"] = ["zstd"]
    first, _, last = table["leaves"]
    first |= {"codec": ["zstd", 4, [30, 64, 1, 8]], "extents": [[0, DATA, 103]]}
    last |= {"codec": ["zstd", 1, [20, 56]], "extents": [[0, DATA + 240, 40], [0, DATA + 300, 36]]}
    return table


def deep(levels: int) -> Any:
    node: Any = 1
    for _ in range(levels):
        node = [node]
    return node


def make_valid() -> None:
    valid("empty", "S-23", "no leaves, no parts: a state of no components", manifest())
    valid("small", "S-23 S-35", "arrays, a long string, a file, chunks of 64 bytes", base())
    done = manifest(done=True, revision=2, step=10**18 - 1, attempt=10**9 - 1, writer={})
    valid("done-revision-largest-numbers", "S-25 S-26", "a run that is complete; the largest step and attempt", done)
    valid("first-step", "S-25", "step 0 of attempt 1", manifest(step=0, attempt=1))
    numbers = {"loss": 0.25, "steps": 3, "tiny": 5e-324, "negative zero": -0.0}
    valid("metrics", "S-29", "floats to the last bit; a whole number", manifest(metrics=numbers))
    valid(
        "extension-field", "S-23", "a field that begins with x- is ignored", manifest(**{"x-site": {"queue": "long"}})
    )
    valid("created-without-fraction", "S-27", "", manifest(created="2026-11-24T03:00:00Z"))

    spaced = text_of(base(), indent=1, separators=(", ", ": "))[:-2]
    valid("spaced", "S-08", "white space and line ends between the members", seal(spaced + b"\n "))
    escaped = text_of({**base(), "writer": {"é": "☃𝄞"}}, ensure_ascii=True)[:-1]
    valid("escaped", "S-12", "escapes, a surrogate pair among them", seal(escaped))
    shuffled = dict(sorted(base().items(), reverse=True))
    valid("other-order", "S-23", "the fields in another order", shuffled)

    empty = [("float32", [0], 0), ("float64", [3, 0, 2], 0), ("int64", [], 8), ("U0", [4], 0), ("utf8", [0], 0)]
    valid(
        "zero-size-and-zero-dimensional", "S-32 S-35", "leaves of no bytes have no extents and no chunks", arrays(empty)
    )
    valid("only-zero-size", "S-33", "a part without data", arrays([("float32", [0, 7], 0)]))
    named = [
        ("bool", 1), ("int8", 1), ("uint8", 1), ("int16", 2), ("uint16", 2), ("int32", 4), ("uint32", 4),
        ("int64", 8), ("uint64", 8), ("float16", 2), ("bfloat16", 2), ("float32", 4), ("float64", 8),
        ("complex64", 8), ("complex128", 16), ("float8_e4m3fn", 1), ("float8_e5m2", 1), ("float8_e4m3fnuz", 1),
        ("float8_e5m2fnuz", 1), ("float8_e8m0fnu", 1), ("datetime64[ns]", 8), ("datetime64[25s]", 8),
        ("timedelta64[D]", 8), ("datetime64[generic]", 8), ("S7", 7), ("U3", 12), ("V16", 16),
        ("bytes", 1), ("utf8", 1),
    ]  # fmt: skip
    valid("dtypes", "S-39", "every dtype", arrays([(dtype, [3], 3 * item) for dtype, item in named]))
    structures = [
        ('struct:[["x","<f8"],["n","<i4"]]', 12),
        ('struct:[["p",[["x","<f4"],["y","<f4"]],[2,3]],["","|V4"],["when","<M8[us]"]]', 60),
        ('struct:[["s","|S5"],["u","<U2"],["b","|b1"],["z","<c16"]]', 30),
        ("struct:[]", 0),
    ]
    valid(
        "structures",
        "S-39",
        "structured dtypes: nested, with shapes, with padding",
        arrays([(d, [2], 2 * n) for d, n in structures]),
    )

    older = base()
    older["parts"].append(part(4000, where="step-000001100.a0003"))
    older["leaves"][0]["extents"] = [[1, DATA + 1000, 200]]
    older["parts"][0]["bytes"] = DATA + 160
    older["leaves"][1]["extents"], older["leaves"][2]["extents"] = [[0, DATA, 40]], [[0, DATA + 40, 120]]
    valid("older-part", "S-30", "a leaf's bytes lie in an older checkpoint's part", older)
    only = copy.deepcopy(older)
    only["parts"], only["leaves"] = [part(4000, where="step-000001100.a0003")], only["leaves"][:1]
    only["leaves"][0]["extents"][0][0] = 0
    only["tree"] = {"w": {"$": "array", "leaf": "model/w"}}
    valid("only-older-part", "S-30", "nothing has changed: no part of its own", only)
    earlier = copy.deepcopy(only)
    earlier["parts"][0]["path"] = "step-000009999.a0002.r1/part-00000.safetensors"
    valid("older-attempts-part", "S-30", "the part of a later step of an older attempt", earlier)
    split = copy.deepcopy(older)
    split["leaves"][0]["extents"] = [[1, DATA + 1000, 100], [0, DATA + 160, 60], [1, DATA, 40]]
    split["parts"][0]["bytes"] = DATA + 220
    valid("split-extents", "S-33 S-35", "a leaf in three pieces; chunks go across them", split)

    rows = [(0, [0, 0], [3, 4]), (1, [3, 0], [2, 4])]
    valid("boxes-of-two-ranks", "S-36 S-37", "rows of one array, a part for each rank", boxes([5, 4], rows))
    grid = [(0, [0, 0], [2, 3]), (1, [0, 3], [2, 1]), (2, [2, 0], [3, 1]), (3, [2, 1], [3, 3])]
    valid("boxes-grid", "S-37", "boxes that no single cut divides into rows", boxes([5, 4], grid))
    hollow = [(0, [0, 0], [5, 4]), (1, [5, 0], [0, 4])]
    valid("boxes-one-empty", "S-37", "a rank that holds nothing of the array", {**boxes([5, 4], hollow)})
    valid("box-without-dimensions", "S-37", "", boxes([], [(0, [], [])]))
    ranks = boxes([5, 4], rows)
    ranks["leaves"].append(leaf("mine", "int8", [3], 3, 12, rank=0))
    ranks["leaves"].append(leaf("yours", "int8", [3], 3, 8, rank=1))
    ranks["leaves"][3]["extents"] = [[1, DATA + 8, 3]]
    ranks["parts"][0]["bytes"] += 3
    ranks["parts"][1]["bytes"] += 3
    ranks["ranks"] = 3
    valid("several-ranks", "S-28 S-36", "boxes and whole leaves of two ranks; the third wrote nothing", ranks)
    valid(
        "ranks-with-their-own", "S-75 S-76", "a leaf, a component and the position that rank 1 holds otherwise", own()
    )

    stored = manifest(files=[file("a/b/restart.dat", 100), file("empty", 0), file("naïve name", 1, component="%2E")])
    stored["files"].append(file("mesh.dat", 65, component="mesh", where="step-000000100.a0003"))
    stored["files"][2]["component"] = "."
    valid("files", "S-38", "files in folders, an empty one, one in an older checkpoint, an encoded component", stored)

    valid("nodes", "S-40 S-41", "every kind of node", every_node())
    valid("sha256", "S-28 S-35", "SHA-256 in place of XXH3, not signed", strong(base()))
    valid("blake3", "S-24 S-28", "BLAKE3 in place of XXH3, not signed", strong(base(), "blake3"))
    valid("compressed", "S-24 S-70", "leaves with a codec beside one without; chunks stored as they are", packed())
    wide = packed()
    wide["chunk_bytes"] = 2**24
    for row in [*wide["leaves"], *wide["files"]]:
        row["chunks"] = row["chunks"][:1]
    shape = {"dtype": "complex128", "shape": [2**20 + 2], "bytes": 2**24 + 32, "chunks": chunks(128)}
    wide["leaves"][0] |= {**shape, "codec": ["zstd", 16, [2**9, 1]], "extents": [[0, DATA, 101], [0, DATA + 101, 412]]}
    wide["leaves"][1]["extents"] = [[0, DATA + 513, 40]]
    wide["leaves"][2] |= {"codec": ["zstd", 8, [120]], "extents": [[0, DATA + 553, 120]]}
    wide["parts"][0]["bytes"] = DATA + 4096
    valid("compressed-limits", "S-70", "the longest chunks, the highest ratio, the widest items", wide)
    both = packed()
    older = part(64, where="step-000001100.a0003")
    both = strong({**both, "parts": [*both["parts"], older]}, "blake3")
    both["requires"] = ["zstd", "blake3"]
    both["leaves"][0]["extents"] = [[0, DATA, 30], [1, DATA, 64], [0, DATA + 94, 9]]
    valid("compressed-blake3", "S-24 S-70", "two features; a chunk in an older part", both)
    valid("nested-100", "S-14 S-42", "a list in a list, 100 deep", manifest(tree={"deep": deep(99)}))
    long = {"s": "a" * 65_536, "k": {"é" * 32_768: 1}}
    valid("longest-strings", "S-40", "64 KiB of UTF-8, as a value and as a key", manifest(tree=long))


# invalid: name -> (id, kind of error, bytes)

Invalid = dict[str, tuple[str, str, bytes]]
INVALID: Invalid = {}


def invalid(name: str, rule: str, data: bytes, error: str = "damage") -> None:
    INVALID[name] = (rule, error, data)


def broken(name: str, rule: str, change: Callable[[Table], object], error: str = "damage") -> None:
    """`change` breaks a rule in a copy of the base table, in place; the digest is right."""
    table = base()
    change(table)
    invalid(name, rule, sealed(table), error)


def put(*path_and_value: Any) -> Callable[[Table], None]:
    *path, value = path_and_value

    def change(table: Any) -> None:
        for key in path[:-1]:
            table = table[key]
        table[path[-1]] = value

    return change


def drop(*path: Any) -> Callable[[Table], None]:
    def change(table: Any) -> None:
        for key in path[:-1]:
            table = table[key]
        del table[path[-1]]

    return change


def node(value: Any) -> Callable[[Table], None]:
    return put("tree", "t", value)


def strong(table: Table, kind: str = "sha256") -> Table:
    """The table with longer digests in place of all; of which bytes they are, and by what, no manifest can tell."""
    table = json.loads(json.dumps({**table, "digest": kind, "requires": ["blake3"] if kind == "blake3" else []}))
    for row in table["parts"]:
        row["header_digest"] = hashlib.sha256(b"header").hexdigest()
    for row in [*table["leaves"], *table["files"]]:
        row["chunks"] = [hashlib.sha256(b"%d" % k).hexdigest() for k in range(len(row["chunks"]))]
    return table


# signed: name -> (rule, what a reader with the key and one without say: ok or the kind of error, bytes)

Signed = dict[str, tuple[str, str, str, bytes]]
SIGNED: Signed = {}


def make_signed() -> None:
    """Those that a reader with a key judges otherwise than one without."""

    def one(name: str, rule: str, with_key: str, without_key: str, data: bytes) -> None:
        SIGNED[name] = (rule, with_key, without_key, data)

    body = text_of(strong(base()))[:-1]
    end = signature(body)
    one("small", "S-66", "ok", "ok", seal(body + end))
    other = text_of(strong(base(), "blake3"))[:-1]
    one("small-blake3", "S-68", "ok", "ok", seal(other + signature(other)))
    one("not-signed", "S-67", "signature", "ok", seal(body))
    one("another-key", "S-67", "signature", "ok", seal(body + signature(body, bytes(32))))
    for old, new in ((b'"step":1200', b'"step":1201'), (b'"done":false', b'"done":true'), (b'"t":0.5', b'"t":0.6')):
        name = "changed-" + new.split(b'"')[1].decode()
        one(name, "S-67", "signature", "ok", seal(body.replace(old, new, 1) + end))
    one("flipped-bit", "S-67", "signature", "ok", seal(body + end[:-2] + (b"1" if end[-2:-1] == b"0" else b"0") + b'"'))
    one("upper-case", "S-67", "signature", "damage", seal(body + end[:18] + end[18:].upper()))
    one("with-space", "S-67", "signature", "damage", seal(body + b" " + end + b" "))
    one("not-at-the-end", "S-67", "signature", "damage", seal(body + end + b',"x-more":1'))
    one("no-json", "S-67", "signature", "damage", seal(b'{"a":' + b"[" * 5000 + end))
    own = strong(manifest(manifest_hmac="0" * 64))
    twice = text_of(own)[:-1]
    one("twice", "S-66", "damage", "damage", seal(twice + signature(twice)))
    weak = text_of(base())[:-1]
    one("weak-digest", "S-68", "damage", "damage", seal(weak + signature(weak)))
    one("digest-flipped-bit", "S-08", "damage", "damage", seal(body + end)[:-4] + b'g"}\n')
    newer = text_of(strong(manifest(version=2)))[:-1]
    one("version-newer", "S-11", "version", "version", seal(newer + signature(newer)))
    one("version-newer-not-signed", "S-67", "signature", "version", seal(newer))


def bad_envelopes() -> None:
    whole = sealed(base())
    flipped = bytearray(whole)
    flipped[100] ^= 4
    invalid("digest-flipped-bit", "S-08", bytes(flipped))
    invalid("digest-cut-short", "S-08", whole[:-40])
    invalid("digest-upper-case", "S-08", whole[:-35] + whole[-35:-3].upper() + whole[-3:])
    invalid("digest-without-newline", "S-08", whole[:-1])
    invalid("digest-then-more", "S-08", whole + b"\n")
    invalid("digest-under-another-key", "S-08", seal(text_of(base())[:-1], "digest"))
    spaced = text_of(base())[:-1]
    invalid("digest-with-space", "S-08", spaced + f', "{KEY}":"{digest(spaced)}"}}\n'.encode())
    invalid("digest-twice", "S-10", sealed({**base(), KEY: "0" * 32}))
    invalid("digest-alone", "S-10", seal(b"{"))
    invalid("empty-file", "S-08", b"")
    invalid("zeros", "S-08", bytes(4096))


def bad_json() -> None:
    body = text_of(base())[:-1]

    def swapped(name: str, rule: str, old: bytes, new: bytes) -> None:
        assert body.count(old) >= 1, name
        invalid(name, rule, seal(body.replace(old, new, 1)))

    invalid("json-cut", "S-12", seal(body[:-3]))
    invalid("json-byte-order-mark", "S-12", seal(b"\xef\xbb\xbf" + body))
    swapped("json-key-twice", "S-12", b'"step":1200', b'"step":1200,"step":1200')
    swapped("json-key-twice-escaped", "S-12", b'"t":0.5', b'"t":0.5,"\\u0074":0.5')
    swapped("json-nan", "S-12", b'"t":0.5', b'"t":NaN')
    swapped("json-infinity", "S-12", b'"t":0.5', b'"t":-Infinity')
    swapped("json-overflow", "S-12", b'"t":0.5', b'"t":1e999')
    swapped("json-lone-surrogate", "S-12", b'"t":0.5', b'"t":"\\ud800"')
    swapped("json-not-utf8", "S-12", b'"t":0.5', b'"t":"\xff"')
    swapped("json-control-character", "S-12", b'"t":0.5', b'"t":"\x01"')
    swapped("json-long-number", "S-13", b'"t":0.5', b'"t":' + b"1" * 5000)
    swapped("json-deep", "S-14", b'"t":0.5', b'"t":' + b"[" * 200 + b"]" * 200)
    swapped("json-open-brackets", "S-14", b'"t":0.5', b'"t":' + b"[" * 5000)


def bad_heads() -> None:
    broken("format-other", "S-24", put("format", "outlast-store"))
    broken("version-newer", "S-11", put("version", 2), "version")
    broken("version-newer-unknown-fields", "S-11", lambda t: t.update(version=3, leaves="elsewhere", more=1), "version")
    broken("version-zero", "S-24", put("version", 0))
    broken("version-true", "S-13", put("version", True))
    broken("version-missing", "S-23", drop("version"))
    broken("requires-unknown", "S-11", put("requires", ["telepathy"]), "version")
    broken("requires-string", "S-24", put("requires", "blake3"))
    broken("requires-what-is-not-used", "S-24", put("requires", ["blake3"]))
    not_told = {**strong(base(), "blake3"), "requires": []}
    invalid("requires-not-what-is-used", "S-24", sealed(not_told))
    invalid("requires-twice", "S-24", sealed({**not_told, "requires": ["blake3", "blake3"]}))
    both = {**not_told, "requires": ["blake3", "telepathy"]}
    invalid("requires-unknown-too", "S-11", sealed(both), "version")
    invalid("digest-blake3-of-another-length", "S-28", sealed({**base(), "digest": "blake3", "requires": ["blake3"]}))
    broken("requires-missing", "S-23", drop("requires"))
    broken("field-unknown", "S-23", put("colour", 1))
    broken("field-missing", "S-23", drop("metrics"))
    broken("store-short", "S-25", put("store", STORE[:-1]))
    broken("store-upper-case", "S-25", put("store", STORE.upper()))
    broken("step-negative", "S-25", put("step", -1))
    broken("step-too-large", "S-25", put("step", 10**18))
    broken("step-float", "S-13", put("step", 1200.0))
    broken("step-string", "S-25", put("step", "1200"))
    broken("attempt-zero", "S-25", put("attempt", 0))
    broken("attempt-true", "S-13", put("attempt", True))
    broken("revision-negative", "S-25", put("revision", -1))
    broken("done-number", "S-26", put("done", 0))
    broken("created-without-zone", "S-27", put("created", "2026-11-24T03:00:00"))
    broken("writer-number", "S-27", put("writer", {"outlast": 1}))
    broken("ranks-zero", "S-28", put("ranks", 0))
    broken("digest-unknown", "S-28", put("digest", "crc32"))
    broken("chunk-bytes-zero", "S-28", put("chunk_bytes", 0))
    broken("chunk-bytes-too-large", "S-28", put("chunk_bytes", 2**30 + 1))
    broken("metrics-string", "S-29", put("metrics", "loss", "0.25"))
    broken("metrics-true", "S-29", put("metrics", "loss", True))
    broken("metrics-list", "S-29", put("metrics", []))
    broken("position-unknown-node", "S-29", put("position", {"$": "loop"}))


def bad_parts() -> None:
    name = "part-00000.safetensors"
    broken("part-path-absolute", "S-04", put("parts", 0, "path", f"/{STEP}/{name}"))
    broken("part-path-outside", "S-04", put("parts", 0, "path", f"../{STEP}/{name}"))
    broken("part-path-nul", "S-04", put("parts", 0, "path", f"{STEP}/part-00000.safetensors\0"))
    broken("part-path-empty-name", "S-04", put("parts", 0, "path", f"{STEP}//{name}"))
    broken("part-in-quarantine", "S-30", put("parts", 0, "path", f"quarantine/{STEP}/{name}"))
    broken("part-too-deep", "S-30", put("parts", 0, "path", f"{STEP}/files/{name}"))
    broken("part-in-misnamed-checkpoint", "S-01", put("parts", 0, "path", f"step-0000001200.a0003/{name}"))
    broken("part-of-attempt-zero", "S-30", put("parts", 0, "path", f"step-000001200.a0000/{name}"))
    broken("part-of-newer-attempt", "S-30", put("parts", 0, "path", f"step-000001200.a0004/{name}"))
    broken("part-twice", "S-30", lambda t: t["parts"].append(t["parts"][0]))
    broken("part-name-of-another-rank", "S-30", put("parts", 0, "path", f"{STEP}/part-00001.safetensors"))
    broken("part-misnamed", "S-03", put("parts", 0, "path", f"{STEP}/part-0.safetensors"))
    broken("part-rank-too-high", "S-30", lambda t: t["parts"].append(part(8, rank=1)))
    broken("part-header-not-aligned", "S-31", put("parts", 0, "header_bytes", 500))
    broken("part-header-longer-than-part", "S-31", put("parts", 0, "header_bytes", 1024))
    broken("part-header-too-short", "S-31", put("parts", 0, "header_bytes", 8))
    broken("part-header-digest-form", "S-31", put("parts", 0, "header_digest", "0" * 31 + "g"))
    broken("part-bytes-negative", "S-13", put("parts", 0, "bytes", -1))
    broken("part-bytes-too-large", "S-13", put("parts", 0, "bytes", 2**63))
    broken("part-member-missing", "S-23", drop("parts", 0, "header_digest"))
    broken("part-member-unknown", "S-23", put("parts", 0, "mtime", 1))
    broken("parts-object", "S-23", put("parts", {}))
    broken("part-string", "S-23", put("parts", 0, "part"))


def leaf_twice(table: Table) -> None:
    table["parts"][0]["bytes"] += 40
    table["leaves"].append({**table["leaves"][1], "extents": [[0, DATA + 360, 40]]})


def bad_leaves() -> None:
    broken("leaf-path-empty", "S-32", put("leaves", 0, "path", ""))
    broken("leaf-path-too-long", "S-32", put("leaves", 0, "path", "a" * 65_537))
    broken("leaf-path-number", "S-32", put("leaves", 0, "path", 1))
    broken("leaf-twice", "S-36", leaf_twice)
    broken("leaf-shape-too-large", "S-32", put("leaves", 0, "shape", [10, 6]))
    broken("leaf-shape-negative", "S-32", put("leaves", 0, "shape", [-10, -5]))
    broken("leaf-shape-true", "S-13", put("leaves", 0, "shape", [50, True]))
    broken("leaf-shape-float", "S-13", put("leaves", 0, "shape", [50, 1.0]))
    broken("leaf-shape-number", "S-32", put("leaves", 0, "shape", 50))
    broken("leaf-65-dimensions", "S-32", put("leaves", 0, "shape", [50] + [1] * 64))
    broken("leaf-empty-and-huge", "S-32", lambda t: t["leaves"].append(leaf("e", "int8", [2**62, 4, 0], 0, 0)))
    broken("leaf-text-of-two-dimensions", "S-39", put("leaves", 2, "shape", [12, 10]))
    broken("leaf-rank-too-high", "S-36", put("leaves", 0, "rank", 1))
    broken("leaf-member-unknown", "S-23", put("leaves", 0, "strides", [1, 10]))
    broken("leaf-member-missing", "S-23", drop("leaves", 0, "rank"))
    broken("extents-too-short", "S-33", put("leaves", 0, "extents", [[0, DATA, 192]]))
    broken("extents-missing", "S-33", put("leaves", 0, "extents", []))
    broken("extent-in-header", "S-33", put("leaves", 0, "extents", [[0, DATA - 8, 200]]))
    broken("extent-behind-the-end", "S-33", put("leaves", 0, "extents", [[0, DATA + 161, 200]]))
    broken("extent-of-no-part", "S-33", put("leaves", 0, "extents", [[1, DATA, 200]]))
    broken("extent-of-part-minus-one", "S-33", put("leaves", 0, "extents", [[-1, DATA, 200]]))
    broken("extent-empty", "S-33", put("leaves", 0, "extents", [[0, DATA, 200], [0, DATA + 200, 0]]))
    broken("extent-of-two-numbers", "S-33", put("leaves", 0, "extents", [[DATA, 200]]))
    broken("extents-of-two-leaves-overlap", "S-34", put("leaves", 1, "extents", [[0, DATA + 199, 40]]))
    broken("extents-of-one-leaf-overlap", "S-34", put("leaves", 0, "extents", [[0, DATA, 100], [0, DATA, 100]]))
    broken("chunk-missing", "S-35", drop("leaves", 0, "chunks", 3))
    broken("chunk-too-many", "S-35", lambda t: t["leaves"][1]["chunks"].append("0" * 32))
    broken(
        "chunk-of-empty-leaf",
        "S-35",
        lambda t: t["leaves"].append({**leaf("e", "int8", [0], 0, 0), "chunks": ["0" * 32]}),
    )
    broken("chunk-of-another-digest", "S-35", put("leaves", 0, "chunks", 1, "a" * 64))
    broken("chunk-upper-case", "S-35", put("leaves", 0, "chunks", 1, "A" * 32))
    broken("chunk-number", "S-35", put("leaves", 1, "chunks", 0, 7))
    broken("chunk-two-in-one-string", "S-35", put("leaves", 0, "chunks", [" ".join(chunks(128)), "", *chunks(128)]))


def bad_codecs() -> None:
    def wrong(name: str, *path_and_value: Any) -> None:
        table = packed()
        put("leaves", 0, *path_and_value)(table)
        invalid(f"codec-{name}", "S-70", sealed(table))

    sizes = [30, 64, 1, 8]
    wrong("unknown", "codec", ["lz4", 4, sizes])
    wrong("width-three", "codec", ["zstd", 3, sizes])
    wrong("width-zero", "codec", ["zstd", 0, sizes])
    wrong("width-true", "codec", ["zstd", True, sizes])
    wrong("width-32", "codec", ["zstd", 32, sizes])
    wrong("width-of-no-whole-items", "codec", ["zstd", 16, sizes])
    wrong("length-zero", "codec", ["zstd", 4, [30, 64, 0, 9]])
    wrong("length-negative", "codec", ["zstd", 4, [30, 64, 10, -1]])
    wrong("length-true", "codec", ["zstd", 4, [30, 64, True, 8]])
    wrong("length-string", "codec", ["zstd", 4, [30, 64, "1", 8]])
    wrong("longer-than-the-chunk", "codec", ["zstd", 4, [65, 28, 2, 8]])
    wrong("longer-than-the-last-chunk", "codec", ["zstd", 4, [30, 63, 1, 9]])
    wrong("too-few", "codec", ["zstd", 4, [40, 63]])
    wrong("too-many", "codec", ["zstd", 4, [30, 64, 1, 7, 1]])
    wrong("not-of-the-extents", "codec", ["zstd", 4, [30, 63, 1, 8]])
    wrong("huge", "codec", ["zstd", 4, [2**62, 64, 1, 8]])
    wrong("of-two-members", "codec", ["zstd", sizes])
    wrong("of-four-members", "codec", ["zstd", 4, sizes, 1])
    wrong("string", "codec", "zstd")
    wrong("null", "codec", None)
    empty = packed()
    empty["leaves"].append(leaf("e", "int8", [0], 0, 0, codec=["zstd", 1, []]))
    invalid("codec-of-nothing", "S-70", sealed(empty))
    file_too = packed()
    file_too["files"][0]["codec"] = ["zstd", 1, [1, 1]]
    invalid("codec-of-a-file", "S-23", sealed(file_too))
    for name, chunk_bytes, size, stored in (
        ("ratio", 2**24, 2**24, 2**9 - 1),
        ("chunks-too-long", 2**25, 2**25, 2**10),
    ):
        table = manifest(chunk_bytes=chunk_bytes, requires=["zstd"], parts=[part(4096)])
        row = leaf("a", "int8", [size], size, 0, extents=[[0, DATA, stored]], codec=["zstd", 1, [stored]])
        table |= {"leaves": [{**row, "chunks": chunks(1)}], "tree": {"a": {"$": "array", "leaf": "a"}}}
        invalid(f"codec-{name}", "S-70", sealed(table))
    invalid("codec-not-told", "S-24", sealed({**packed(), "requires": []}))
    broken("codec-told-and-not-used", "S-24", put("requires", ["zstd"]))
    invalid("codec-and-the-unknown", "S-11", sealed({**packed(), "requires": ["zstd", "lz4"]}), "version")


def bad_boxes() -> None:
    whole = [5, 4]

    def box(
        name: str, rows: list[tuple[int, list[int], list[int]]], change: Callable[[Table], object] = lambda t: t
    ) -> None:
        table = boxes(whole, rows)
        change(table)
        invalid(name, "S-37", sealed(table))

    rows = [(0, [0, 0], [3, 4]), (1, [3, 0], [2, 4])]
    box("box-gap", [(0, [0, 0], [3, 4]), (1, [3, 0], [1, 4])])
    box("box-overlap", [(0, [0, 0], [3, 4]), (1, [2, 0], [3, 4])])
    box("box-overlap-of-the-right-volume", [(0, [0, 0], [3, 4]), (1, [1, 0], [2, 4])])
    box("box-thrice", [(rank, [0, 0], whole) for rank in range(3)])
    box("box-twice", [(0, [0, 0], [3, 2]), (1, [0, 0], [3, 2]), (2, [3, 0], [2, 4])])
    box("box-outside", [(0, [0, 0], [3, 4]), (1, [4, 0], [2, 4])])
    box("box-of-another-whole", rows, put("leaves", 1, "global_shape", [4, 5]))
    box("box-of-another-dtype", rows, put("leaves", 1, "dtype", "uint8"))
    box("box-of-other-dimensions", rows, put("leaves", 1, "offset", [3]))
    five = boxes([2] * 5, [(0, list(corner), [1] * 5) for corner in itertools.product((0, 1), repeat=5)])
    invalid("box-split-along-five-axes", "S-37", sealed(five))
    half = boxes(whole, rows)
    del half["leaves"][0]["offset"]
    invalid("box-without-offset", "S-36", sealed(half))
    both = boxes(whole, rows)
    both["leaves"].append(leaf("u", "int8", [0], 0, 0))
    invalid("box-and-whole", "S-36", sealed(both))


def bad_ranks() -> None:
    def wrong(name: str, rule: str, change: Callable[[Table], object]) -> None:
        table = own()
        change(table)
        invalid(f"ranks-{name}", rule, sealed(table))

    wrong("not-told", "S-24", put("requires", []))
    broken("ranks-told-and-not-used", "S-24", put("requires", ["ranks"]))
    wrong("own-leaf-of-another-rank", "S-75", put("leaves", 2, "path", "%rank0/v"))
    wrong("of-too-few", "S-76", put("tree", "r", "of", [0]))
    wrong("of-a-node-that-is-not-there", "S-76", put("tree", "r", "of", [0, 2]))
    wrong("a-node-of-nobody", "S-76", put("tree", "r", "of", [0, 0]))
    wrong("of-true", "S-76", put("tree", "r", "of", [False, True]))
    wrong("member-missing", "S-76", drop("tree", "r", "nodes"))
    wrong("inside-a-component", "S-76", put("tree", "u", [{"$": "ranks", "of": [0, 1], "nodes": [1, 2]}]))
    wrong("inside-another", "S-76", put("tree", "r", "nodes", 0, {"$": "ranks", "of": [0, 1], "nodes": [1, 2]}))
    wrong("leaf-of-nobody", "S-41", put("tree", "r", "nodes", 1, {"$": "array", "leaf": "w"}))


def bad_files() -> None:
    broken("file-path-outside", "S-04", lambda t: t["files"].append(file("../x", 1)))
    broken("file-path-absolute", "S-04", put("files", 0, "path", "/restart.dat"))
    broken("file-name-too-long", "S-04", lambda t: t["files"].append(file("a" * 256, 1)))
    broken("file-not-in-files", "S-38", put("files", 0, "at", f"{STEP}/sim/restart.dat"))
    broken("file-at-another-path", "S-38", put("files", 0, "at", f"{STEP}/files/sim/other.dat"))
    broken("file-without-component", "S-38", put("files", 0, "at", f"{STEP}/files/restart.dat"))
    broken("file-out-of-files", "S-04", put("files", 0, "at", f"{STEP}/files/../restart.dat"))
    broken("file-in-no-checkpoint", "S-38", put("files", 0, "at", "journal/files/sim/restart.dat"))
    broken("file-twice", "S-38", lambda t: t["files"].append(t["files"][0]))
    broken(
        "file-of-two-places", "S-38", lambda t: t["files"].append(file("restart.dat", 1, where="step-000000001.a0001"))
    )
    broken("file-chunk-missing", "S-35", drop("files", 0, "chunks", 0))
    broken("file-component-number", "S-23", put("files", 0, "component", 1))


def bad_dtypes() -> None:
    for name, dtype in (
        ("unknown", "float31"),
        ("object", "object"),
        ("big-endian", ">f4"),
        ("time-without-unit", "datetime64"),
        ("time-unit-unknown", "datetime64[fortnight]"),
        ("text-zeros-in-front", "S04"),
        ("struct-object", 'struct:[["x","|O8"]]'),
        ("struct-big-endian", 'struct:[["x",">f4"]]'),
        ("struct-field-twice", 'struct:[["x","<f2"],["x","<f2"]]'),
        ("struct-not-json", "struct:[x]"),
        ("struct-object-of-json", 'struct:{"x":"<f4"}'),
        ("struct-deep", "struct:" + "[" * 200 + "]" * 200),
        ("struct-huge", 'struct:[["x","<f4",[4294967296,4294967296]]]'),
        ("struct-negative", 'struct:[["x","<f4",[-1]]]'),
    ):
        broken(f"dtype-{name}", "S-39", put("leaves", 0, "dtype", dtype))
    broken("dtype-number", "S-39", put("leaves", 0, "dtype", 4))


def bad_nodes() -> None:
    broken("tree-list", "S-23", put("tree", []))
    broken("tree-node", "S-40", put("tree", {"$": "tuple", "items": []}))
    for name, value in (
        ("unknown-kind", {"$": "pickle", "value": ""}),
        ("kind-number", {"$": 1}),
        ("member-missing", {"$": "enum", "class": "a.B"}),
        ("member-unknown", {"$": "path", "value": "a", "mode": 7}),
        ("key-with-dollar", {"$x": 1}),
        ("int-beyond-53-bits", 2**53 + 1),
        ("string-too-long", "a" * 65_537),
        ("key-too-long", {"a" * 65_537: 1}),
        ("int-zeros-in-front", {"$": "int", "value": "007"}),
        ("int-of-4097-digits", {"$": "int", "value": "1" * 4097}),
        ("float-short", {"$": "float", "bits": "7ff8"}),
        ("complex-upper-case", {"$": "complex", "bits": "A" * 32}),
        ("str-of-an-array", {"$": "str", "leaf": "model/w"}),
        ("array-of-a-string", {"$": "array", "leaf": "log"}),
        ("bytes-of-an-array", {"$": "bytes", "leaf": "model/w"}),
        ("bytes-of-nothing", {"$": "bytes"}),
        ("bytes-of-both", {"$": "bytes", "leaf": "log", "base64": ""}),
        ("bytes-not-base64", {"$": "bytes", "base64": "a$=="}),
        ("bytes-without-padding", {"$": "bytearray", "base64": "YQ"}),
        ("bytes-too-long", {"$": "bytes", "base64": base64.b64encode(bytes(4097)).decode()}),
        ("dict-of-triples", {"$": "dict", "items": [[1, 2, 3]]}),
        ("dict-key-twice", {"$": "dict", "items": [[1, 2], [1, 3]]}),
        ("dict-in-a-key", {"$": "dict", "items": [[{"$": "tuple", "items": [{"$": "dict", "items": []}]}, 0]]}),
        ("tuple-of-an-object", {"$": "tuple", "items": {}}),
        ("deque-overfull", {"$": "deque", "items": [1, 2], "maxlen": 1}),
        ("deque-maxlen-true", {"$": "deque", "items": [], "maxlen": True}),
        ("scalar-with-dimensions", {"$": "scalar", "leaf": "model/b"}),
        ("tensor-requires-grad-number", {"$": "tensor", "leaf": "model/w", "requires_grad": 1}),
        ("array-resized-false", {"$": "array", "leaf": "model/w", "resized": False}),
        ("array-order-of-one-axis", {"$": "array", "leaf": "model/w", "order": [0]}),
        ("array-order-twice", {"$": "array", "leaf": "model/w", "order": [1, 1]}),
        ("array-order-true", {"$": "array", "leaf": "model/w", "order": [True, 0]}),
        ("array-order-number", {"$": "array", "leaf": "model/w", "order": 1}),
        ("fold-two", {"$": "time", "iso": "02:30:00", "fold": 2}),
        ("timedelta-float", {"$": "timedelta", "days": 0.5, "seconds": 0, "microseconds": 0}),
        ("date-number", {"$": "date", "iso": 20261124}),
        ("fields-list", {"$": "dataclass", "class": "a.B", "fields": []}),
        ("field-with-dollar", {"$": "namedtuple", "class": "a.B", "fields": {"$": 1}}),
        ("same-of-nothing", {"$": "same", "path": ""}),
        ("same-view-false", [[], {"$": "same", "path": "t/0", "view": False}]),
        ("plug-in-without-leaf", {"$": "cupy.array", "shape": [1]}),
        ("deep-inside", [{"a": {"$": "tuple", "items": [{"$": "set", "items": [{"$": "?"}]}]}}]),
    ):
        broken(f"node-{name}", "S-40", node(value))
    for name, value in (
        ("leaf-unknown", {"$": "array", "leaf": "model/x"}),
        ("leaf-number", {"$": "array", "leaf": 0}),
        ("plug-in-leaf-unknown", {"$": "cupy.array", "leaf": "model/x"}),
        ("same-of-an-unknown-path", [[], {"$": "same", "path": "t/2"}]),
        ("same-of-what-holds-it", [{"$": "same", "path": "t"}]),
        ("same-of-a-later-node", [{"$": "same", "path": "t/1"}, []]),
        ("same-of-a-plain-value", [1, {"$": "same", "path": "t/0"}]),
    ):
        broken(f"node-{name}", "S-41", node(value))
    broken("node-same-in-position", "S-41", put("position", {"$": "same", "path": "model"}))


def build() -> dict[str, bytes]:
    """Return every vector and the index, by path."""
    VALID.clear()
    INVALID.clear()
    SIGNED.clear()
    make_valid()
    make_signed()
    for make in (
        bad_envelopes,
        bad_json,
        bad_heads,
        bad_parts,
        bad_leaves,
        bad_codecs,
        bad_boxes,
        bad_ranks,
        bad_files,
        bad_dtypes,
        bad_nodes,
    ):
        make()
    beyond = set(BEYOND_SCHEMA.split())
    index = {
        "valid": [
            {"file": f"valid/{name}.json", "rules": ids.split(), "about": about}
            for name, (ids, about, _) in sorted(VALID.items())
        ],
        "invalid": [
            {"file": f"invalid/{name}.json", "rule": rule, "error": error, "schema": name not in beyond}
            for name, (rule, error, _) in sorted(INVALID.items())
        ],
        "signed": [
            {"file": f"signed/{name}.json", "rule": rule, "with_key": with_key, "without_key": without_key}
            for name, (rule, with_key, without_key, _) in sorted(SIGNED.items())
        ],
    }
    lines = [
        f'"{group}": [\n  ' + ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n ]"
        for group, rows in index.items()
    ]
    lines.append(f'"key": "{SECRET.hex()}"')
    files = {"index.json": ("{" + ",\n ".join(lines) + "}\n").encode()}
    files |= {f"signed/{name}.json": row[3] for name, row in SIGNED.items()}
    files |= {f"valid/{name}.json": row[2] for name, row in VALID.items()}
    return files | {f"invalid/{name}.json": row[2] for name, row in INVALID.items()}


def main() -> None:
    for name, data in build().items():
        path = HERE / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)


if __name__ == "__main__":
    main()
