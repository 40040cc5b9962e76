"""Manifests for the tests of the format: drawn by hypothesis, and a small one."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import strategies as st

from outlast.format import features
from outlast.format.codecs import chunk_lengths
from outlast.format.dtypes import itemsize
from outlast.format.envelope import seal_body
from outlast.format.manifest import KEY
from outlast.format.model import Codec, Extent, Leaf, Manifest, Part, StoredFile
from outlast.format.names import CheckpointName

DTYPES = ["bool", "float32", "bfloat16", "complex128", "datetime64[ns]", "S3", "U0", 'struct:[["x","<f8"],["n","|u1"]]']
HEADER = 64

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
digests = st.binary(min_size=16, max_size=16).map(bytes.hex)
plain = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts
)
keys = texts.filter(lambda key: not key.startswith("$"))
nodes = st.recursive(
    plain
    | st.just({"$": "float", "bits": "7ff8000000000000"})
    | st.builds(lambda i: {"$": "int", "value": str(i)}, st.integers()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(keys, inner, max_size=3)
        | st.builds(lambda items: {"$": "tuple", "items": items}, st.lists(inner, max_size=3))
        | st.builds(lambda name, state: {"$": "object", "class": name, "state": state}, texts, inner)
    ),
    max_leaves=8,
)


def small() -> Manifest:
    """Two leaves, one of them in an older part, a file, a bit of a tree."""
    name = CheckpointName(step=7, attempt=2)
    older = CheckpointName(step=6, attempt=2)
    parts = tuple(
        Part(
            path=f"{one.format()}/part-00000.safetensors",
            rank=0,
            size_bytes=HEADER + 100,
            header_bytes=HEADER,
            header_digest="ab" * 16,
        )
        for one in (name, older)
    )
    leaves = tuple(
        Leaf(
            path=f"m/{number}",
            dtype="float32",
            shape=(5, 5),
            size_bytes=100,
            extents=(Extent(part=number, at=HEADER, size_bytes=100),),
            chunks=("cd" * 16, "ef" * 16),
        )
        for number in (0, 1)
    )
    tree = {"m": [{"$": "array", "leaf": "m/0"}, {"$": "array", "leaf": "m/1"}, 0.1, None]}
    return Manifest(
        store="01" * 16,
        step=7,
        attempt=2,
        revision=0,
        done=False,
        created="2026-11-24T03:00:00.000Z",
        chunk_bytes=64,
        parts=parts,
        leaves=leaves,
        tree=tree,
        files=(StoredFile(component="sim", path="a/b", at=f"{name.format()}/files/sim/a/b", size_bytes=0, chunks=()),),
        metrics={"loss": 0.5},
        writer={"outlast": "0.1.0"},
    )


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Draw a manifest that keeps every rule."""
    name = CheckpointName(
        step=draw(st.integers(0, 10**18 - 1)),
        attempt=draw(st.integers(1, 10**9 - 1)),
        revision=draw(st.integers(0, 10**9 - 1)),
    )
    ranks = draw(st.integers(1, 3))
    chunk_bytes = draw(st.sampled_from([1, 3, 64, 1 << 20]))
    fill = [HEADER] * ranks
    leaves, tree = [], {}
    for path in draw(st.lists(texts.filter(bool), unique=True, max_size=4)):
        leaf = draw(_leaf(path, ranks, chunk_bytes, fill))
        leaves.append(leaf)
        tree[f"of {path}"] = {"$": "array", "leaf": path}
    parts = tuple(
        Part(
            path=f"{name.format()}/part-{rank:05d}.safetensors",
            rank=rank,
            size_bytes=fill[rank],
            header_bytes=HEADER,
            header_digest=draw(digests),
        )
        for rank in range(ranks)
    )
    return Manifest(
        store=draw(digests),
        step=name.step,
        attempt=name.attempt,
        revision=name.revision,
        done=draw(st.booleans()),
        created="2026-11-24T03:00:00.000Z",
        chunk_bytes=chunk_bytes,
        parts=parts,
        leaves=tuple(leaves),
        tree=tree | draw(st.dictionaries(keys, nodes, max_size=3)),
        position=draw(nodes),
        metrics=draw(st.dictionaries(texts, st.floats(allow_nan=False, allow_infinity=False), max_size=3)),
        writer=draw(st.dictionaries(texts, texts, max_size=2)),
        ranks=ranks,
        requires=features.used("xxh3-128", leaves),
    )


@st.composite
def _leaf(draw: st.DrawFn, path: str, ranks: int, chunk_bytes: int, fill: list[int]) -> Leaf:
    """Draw a leaf behind what `fill` says of each part, in up to two pieces."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = tuple(draw(st.lists(st.integers(0, 3), max_size=3)))
    size = itemsize(dtype) * math.prod(shape)
    count = -(-size // chunk_bytes)
    codec = draw(st.none() | _codec(size, chunk_bytes, count)) if size else None
    stored = size if codec is None else sum(codec.sizes)
    cut = draw(st.integers(0, stored))
    extents = []
    for piece in (cut, stored - cut):
        part = draw(st.integers(0, ranks - 1))
        if piece:
            extents.append(Extent(part=part, at=fill[part], size_bytes=piece))
            fill[part] += piece
    chunks = tuple(draw(st.lists(digests, min_size=count, max_size=count)))
    rank = draw(st.integers(0, ranks - 1))
    is_box = draw(st.booleans())
    return Leaf(
        path=path,
        dtype=dtype,
        shape=shape,
        size_bytes=size,
        extents=tuple(extents),
        chunks=chunks,
        rank=rank,
        global_shape=shape if is_box else None,
        offset=(0,) * len(shape) if is_box else None,
        codec=codec,
    )


def _codec(size: int, chunk_bytes: int, count: int) -> st.SearchStrategy[Codec]:
    lengths = chunk_lengths(size, chunk_bytes, count)
    sizes = st.tuples(*[st.integers(-(-length // 32768), length) for length in lengths])
    widths = [width for width in (1, 2, 4, 8, 16) if not any(length % width for length in lengths)]
    return st.builds(lambda width, sizes: Codec(name="zstd", width=width, sizes=sizes), st.sampled_from(widths), sizes)


def table_of(data: bytes) -> dict[str, Any]:
    """Read a manifest's JSON without any check."""
    table: dict[str, Any] = json.loads(data)
    del table[KEY]
    return table


def sealed(table: dict[str, Any]) -> bytes:
    """Seal whatever table, as an attacker could."""
    return seal_body(json.dumps(table, separators=(",", ":")).encode()[:-1], KEY)
