"""Generators go on where they stood, also their children; the global ones through one marker."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest

from capture.kit import Saved, roundtrip
from outlast.capture import RNG, check
from outlast.errors import MismatchError

BITS = [np.random.MT19937, np.random.PCG64, np.random.PCG64DXSM, np.random.Philox, np.random.SFC64]


@pytest.mark.parametrize("bits", BITS)
def test_numpy_generators(bits):
    saved = np.random.Generator(bits(7))
    saved.random(dtype="f4")
    saved.spawn(2)
    checkpoint = Saved({"r": saved, "d": {"made": saved.spawn(1)[0]}, "b": saved.bit_generator})
    expected = saved.random(5).tolist(), saved.spawn(1)[0].random()
    live = np.random.Generator(bits())
    generator = live.bit_generator
    state = {"r": live, "d": {}, "b": generator}
    checkpoint.into(state)
    assert state["r"] is live
    assert live.bit_generator is generator
    assert (live.random(5).tolist(), live.spawn(1)[0].random()) == expected
    assert type(state["d"]["made"].bit_generator) is bits


def test_another_bit_generator_is_a_mismatch():
    with pytest.raises(MismatchError, match="r: saved from the bit generator PCG64, the program has Philox"):
        roundtrip({"r": np.random.default_rng(1)}, {"r": np.random.Generator(np.random.Philox(1))})


def test_random_state_and_random():
    saved = {"np": np.random.RandomState(3), "py": random.Random(4), "seq": np.random.SeedSequence(5)}
    saved["np"].normal()
    saved["py"].gauss()
    saved["seq"].spawn(3)
    live = {"np": np.random.RandomState(), "py": random.Random(), "seq": np.random.SeedSequence()}
    checkpoint = Saved(saved)
    expected = saved["np"].normal(size=3).tolist(), saved["py"].gauss(), saved["py"].random()
    child = saved["seq"].spawn(1)[0].generate_state(2).tolist()
    held = live["np"], live["py"]
    checkpoint.into(live)
    assert (live["np"], live["py"]) == held
    assert (live["np"].normal(size=3).tolist(), live["py"].gauss(), live["py"].random()) == expected
    assert live["seq"].spawn(1)[0].generate_state(2).tolist() == child


@pytest.mark.parametrize("names", [("seq", "rng"), ("rng", "seq")])
def test_a_seed_sequence_goes_on_in_place_and_stays_the_generators(names):
    def build():
        sequence = np.random.SeedSequence([5, 2**70])
        both = {"seq": sequence, "rng": np.random.default_rng(sequence)}
        return {name: both[name] for name in names}

    saved, live = build(), build()
    saved["seq"].spawn(3)
    checkpoint = Saved(saved)
    expected = saved["rng"].random(), saved["rng"].spawn(1)[0].random(), saved["seq"].spawn(1)[0].spawn_key
    held = live["seq"]
    checkpoint.into(live)
    assert live["seq"] is held is live["rng"].bit_generator.seed_seq
    assert (live["rng"].random(), live["rng"].spawn(1)[0].random(), held.spawn(1)[0].spawn_key) == expected


def test_a_seed_sequence_that_began_elsewhere_or_is_ahead_is_replaced():
    saved = {"seq": np.random.SeedSequence(5)}
    ahead = np.random.SeedSequence(5)
    ahead.spawn(2)
    for other in (np.random.SeedSequence(6), ahead):
        live = roundtrip(saved, {"seq": other})
        assert live["seq"].state == saved["seq"].state


def test_the_global_generators():
    checkpoint = Saved({"rng": RNG()})
    assert {path.split("/")[1] for path in checkpoint.leaves} >= {"numpy"}
    expected = random.random(), np.random.rand()  # noqa: NPY002
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    checkpoint.into({"rng": RNG()})
    assert (random.random(), np.random.rand()) == expected  # noqa: NPY002


def test_generators_come_last():
    class Draws:
        def state_dict(self):
            return {"n": 1}

        def load_state_dict(self, state):
            random.random()
            GENERATOR.random()

    GENERATOR = np.random.default_rng(3)
    checkpoint = Saved({"rng": RNG(), "g": GENERATOR, "d": Draws()})
    expected = random.random(), GENERATOR.random()
    checkpoint.into({"rng": RNG(), "g": GENERATOR, "d": Draws()})
    assert (random.random(), GENERATOR.random()) == expected


SCRIPT = """
import json, sys
from outlast.capture import RNG, Pool, check, snapshot, restore
from outlast.errors import MismatchError
assert "numpy" not in sys.modules and "torch" not in sys.modules
taken = snapshot({"rng": RNG(), "d": {"a": [1.5, "x"]}}, Pool())
assert list(taken.tree["rng"]["state"]) == ["python"], taken.tree
state = {"rng": RNG(), "d": {}}
restore(state, taken.tree, {}, None)
assert state["d"] == {"a": [1.5, "x"]}
tree = {"d": {"u": {"$": "array", "leaf": "d/u"}}}
from outlast.format.model import Leaf
leaf = Leaf(path="d/u", dtype="float64", shape=(1,), size_bytes=8, extents=(), chunks=())
rng = {"$": "adapter", "name": "rng", "class": "x.RNG", "state": {"antigravity": 1, "python": 2}}
for tree in (tree, {"d": {}, "rng": rng}):
    try:
        restore({name: state[name] for name in tree}, tree, {"d/u": leaf}, None)
    except MismatchError as error:
        assert "import" in str(error) and "before restoring" in str(error), error
    else:
        raise SystemExit("no error")
assert not {"numpy", "torch", "antigravity"} & set(sys.modules)
"""
LATE = """
import sys
from outlast.capture import RNG, Pool, outline, restore, snapshot
state = {"rng": RNG()}
began = outline(state)
if sys.argv[1] == "save":
    import json, random, numpy
    taken = snapshot(state, Pool(), began)
    leaves = {leaf.path: [leaf.dtype, leaf.shape, bytes(leaf.data).hex()] for leaf in taken.leaves}
    print(json.dumps([taken.tree, leaves, numpy.random.rand()]))
else:
    import json
    from outlast.format.model import Leaf
    tree, leaves, expected = json.load(sys.stdin)
    class Held:
        def read_into(self, path, view):
            view[:] = bytes.fromhex(leaves[path][2])
    rows = {
        path: Leaf(path=path, dtype=dtype, shape=tuple(shape), size_bytes=len(data) // 2, extents=(), chunks=())
        for path, (dtype, shape, data) in leaves.items()
    }
    assert "numpy" not in sys.modules
    restore(state, tree, rows, Held())
    import numpy
    assert numpy.random.rand() == expected
"""


def test_no_framework_is_imported_for_a_program_without_one():
    subprocess.run([sys.executable, "-W", "error", "-c", SCRIPT], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def test_a_library_that_the_program_imports_late_is_imported_at_the_restore():
    said = ""
    for verb in ("save", "restore"):
        command = [sys.executable, "-W", "error", "-c", LATE, verb]
        environment = {"PYTHONPATH": ":".join(sys.path)}
        said = subprocess.run(command, check=True, env=environment, input=said, capture_output=True, text=True).stdout


def test_the_marker_is_small():
    assert check({"rng": RNG()}) < 20_000
