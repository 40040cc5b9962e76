"""Whatever stands in a manifest, a restore succeeds or raises an error of outlast's: never a raw one."""

from __future__ import annotations

import copy
import enum
import functools
import math
import pathlib
import random
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest

from capture.kit import Saved
from outlast.capture import RNG, restore
from outlast.errors import OutlastError


class Colour(enum.Enum):
    RED = 1


@dataclass
class Config:
    lr: float
    many: list


class Pair(NamedTuple):
    one: int
    other: Any


class Plain:
    def __init__(self):
        self.n, self.array, self.act = 1, np.zeros(2), math.sin


class Own(Plain):
    def __getstate__(self):
        return {"n": self.n}

    def __setstate__(self, state):
        self.n = state["n"]


class Noted(list):
    pass


def build():
    shared = [1, np.zeros((2, 3), order="F")]
    sequence = np.random.SeedSequence(4)
    noted = Noted([1])
    noted.note = "x"
    return {
        "values": [1.5, 2**60, math.nan, 1j, "x", b"raw", bytearray(b"x"), "l" * 70_000, b"l" * 5_000, None],
        "times": [date(2026, 1, 1), datetime(2026, 1, 1), time(1), timedelta(1)],  # noqa: DTZ001
        "built": [
            Decimal("1.5"),
            Fraction(1, 3),
            uuid.UUID(int=5),
            range(3),
            ...,
            pathlib.PurePosixPath("a"),
            1 << 9000,
        ],
        "path": pathlib.Path("a"),
        "keys": {1: 2, (1, "a"): 3, np.int8(4): 5, Colour.RED: 6, Decimal(7): 7, frozenset({1}): 8},
        "sets": [{1, 2}, frozenset({"a"}), {np.float32(1)}],
        "lists": {"a": shared, "b": shared, "q": deque([1], 3), "t": (1, [2])},
        "collections": [OrderedDict(a=1), Counter("a"), defaultdict(list, a=[1]), noted],
        "arrays": [np.zeros(3), np.float32(2), np.zeros(2, "M8[s]"), np.zeros(2, [("a", "i4")]), shared[1]],
        "objects": [Plain(), Own(), Config(0.1, [1]), Pair(1, [2]), Colour.RED],
        "fixed": [math.sin, Plain, functools.partial(math.pow, 2), np.dtype("f4")],
        "random": {
            "g": np.random.default_rng(sequence),
            "seq": sequence,
            "bits": np.random.MT19937(1),
            "old": np.random.RandomState(1),
            "py": random.Random(1),
        },
        "rng": RNG(),
        "matrix": np.zeros((2, 2)).view(np.recarray),
        **_framework(),
    }


def _framework():
    try:
        import torch
    except ImportError:
        return {}
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    kept = [model.weight, torch.zeros(3), torch.zeros(2, 3).t(), torch.Size([1])]
    return {"model": model, "optimizer": optimizer, "tensors": kept, "generator": torch.Generator()}


ODD = [
    None, True, 0, -1, 3, 1.5, "", "x", "a/0", "values", "zz", "float64=zz", "1:2:0", [], [1], {}, {"x": 1},
    {"$": "same", "path": "lists/a"}, {"$": "same", "path": "values"}, {"$": "set", "items": [[1]]},
    {"$": "dict", "items": [[{"$": "adapter", "name": "numpy.key", "class": "x", "state": 3}, 1]]},
    {"$": "dict", "items": [[{"$": "adapter", "name": "numpy.Generator", "class": "x", "state": None}, 1]]},
    {"$": "adapter", "name": "uuid.UUID", "class": "x", "state": 3},
    {"$": "adapter", "name": "builtins.range", "class": "x", "state": [1]},
    {"$": "adapter", "name": "torch.Size", "class": "x", "state": ["a"]},
    {"$": "adapter", "name": "numpy.SeedSequence", "class": "x", "state": {"entropy": "x"}},
    {"$": "int", "value": "x"}, {"$": "path", "value": 3}, {"$": "float", "bits": 1}, {"$": "fixed", "name": 3},
    {"$": "tensor", "leaf": "arrays/0"}, {"$": "array", "leaf": "tensors/1"}, {"$": "scalar", "leaf": "arrays/0"},
    {"$": "str", "leaf": "arrays/0"}, {"$": "bytes", "leaf": "arrays/0"}, {"$": 3}, {"$": "x.y", "leaf": "arrays/0"},
]  # fmt: skip


MEMBERS = ["$", "leaf", "state", "items", "x", "order", "resized", "view", "maxlen"]


def places(node, found):
    """List all (container, key) of a JSON value."""
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in entries:
        found.append((node, key))
        places(child, found)
    return found


def mutate(tree, chance):
    for _ in range(chance.choice([1, 1, 2, 4])):
        container, key = chance.choice(places(tree, []))
        what = chance.random()
        if what < 0.15:
            del container[key]
        elif what < 0.3:
            other, name = chance.choice(places(tree, []))
            container[key] = copy.deepcopy(other[name])
        elif what < 0.4 and isinstance(container, dict):
            container[chance.choice(["$", "leaf", "state", "items", "x", "order", "resized", "maxlen"])] = (
                chance.choice(ODD)
            )
        else:
            container[key] = copy.deepcopy(chance.choice(ODD))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.filterwarnings("ignore")
def test_a_mutated_tree(seed):
    chance = random.Random(seed)
    saved = Saved(build())
    kept = random.getstate(), np.random.get_state()  # noqa: NPY002
    failed = 0
    for _ in range(120):
        tree = copy.deepcopy(saved.tree)
        mutate(tree, chance)
        try:
            restore(build(), tree, saved.leaves, saved.source, allow=["*"] if chance.random() < 0.3 else ())
        except OutlastError:
            failed += 1
    random.setstate(kept[0])
    np.random.set_state(kept[1])  # noqa: NPY002
    assert failed > 20


@pytest.mark.filterwarnings("ignore")
def test_leaves_of_impossible_forms():
    whole = build()
    saved = Saved({"d": {name: whole[name] for name in ("arrays", "tensors") if name in whole}})
    saved.into({"d": {}})
    for path, leaf in saved.leaves.items():
        for change in (
            {"shape": (2**50,), "size_bytes": 2**50 * (leaf.size_bytes // max(1, math.prod(leaf.shape)))},
            {"shape": (2**62,), "size_bytes": 2**65},
            {"shape": (-1,), "size_bytes": -8},
            {"dtype": "nope"},
            {"dtype": "O"},
            {"dtype": "struct:[[]]"},
            {"size_bytes": leaf.size_bytes + 1},
        ):
            odd = {**saved.leaves, path: replace(leaf, **change)}
            with pytest.raises(OutlastError):
                restore({"d": {}}, saved.tree, odd, saved.source)
