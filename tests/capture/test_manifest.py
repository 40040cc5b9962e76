"""The manifest's own encoder and decoder take every node and dtype that a capture makes."""

from __future__ import annotations

import enum
import math
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import torch

from capture.kit import DictSource, identical
from capture.test_arrays import DTYPES, filled
from outlast.capture import RNG, Pool, restore, snapshot
from outlast.format.digest import chunk_digests
from outlast.format.dtypes import itemsize
from outlast.format.manifest import decode, encode
from outlast.format.model import Extent, Leaf, Manifest, Part

CHUNK = 1 << 20
HEADER = 64


class Color(enum.Enum):
    RED = 1


@dataclass
class Config:
    lr: float


def manifest_of(taken):
    leaves, at = [], HEADER
    for leaf in taken.leaves:
        extents = (Extent(part=0, at=at, size_bytes=leaf.data.nbytes),) if leaf.data.nbytes else ()
        at += leaf.data.nbytes
        row = Leaf(
            path=leaf.path,
            dtype=leaf.dtype,
            shape=leaf.shape,
            size_bytes=leaf.data.nbytes,
            extents=extents,
            chunks=chunk_digests(leaf.data, CHUNK),
        )
        leaves.append(row)
    part = Part(
        path="step-000000001.a0001/part-00000.safetensors",
        rank=0,
        size_bytes=at,
        header_bytes=HEADER,
        header_digest="0" * 32,
    )
    return Manifest(
        store="0" * 32,
        step=1,
        attempt=1,
        revision=0,
        done=False,
        created="2026-01-01T00:00:00.000Z",
        chunk_bytes=CHUNK,
        parts=(part,),
        leaves=tuple(leaves),
        tree=taken.tree,
    )


def state(scale):
    return {
        "arrays": {str(dtype): filled(dtype) * 0 if np.dtype(dtype).kind == "f" else filled(dtype) for dtype in DTYPES},
        "zero": np.zeros((0, 3)),
        "scalar": np.float16(scale),
        "d": {
            "nan": math.nan,
            "huge": 2**20000 * scale,
            "text": "ü" * 70_000,
            "lone": "\ud800",
            ("a", 1): [Decimal(scale), deque([1], 2), Counter("ab"), OrderedDict(a=scale)],
            np.int8(3): {1, frozenset({2})},
            datetime(2026, 1, 1, tzinfo=UTC): b"x" * 5000,
            "deep": _deep(90),
        },
        "rng": RNG(),
        "generator": np.random.default_rng(scale),
        "color": Color.RED,
        "config": Config(scale),
    }


def _deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


def test_every_kind_passes_through_a_manifest():
    taken = snapshot(state(1), Pool())
    manifest = decode(encode(manifest_of(taken)))
    live = state(2)
    restore(live, manifest.tree, {leaf.path: leaf for leaf in manifest.leaves}, DictSource(taken))
    for name in ("d", "scalar", "zero"):
        assert identical(live[name], state(1)[name])
    assert live["config"].lr == 1
    assert live["generator"].random() == np.random.default_rng(1).random()


def test_the_deepest_state_passes():
    nested = ()
    for _ in range(49):
        nested = (nested,)
    decode(encode(manifest_of(snapshot({"d": nested, "l": _deep(99)}, Pool()))))


def test_every_torch_dtype_has_the_size_that_the_format_says():
    from outlast.capture.adapters.torch import _DTYPES

    assert all(itemsize(name) == dtype.itemsize for name, dtype in _DTYPES.items())
    assert torch.bfloat16 in _DTYPES.values()
