"""The manifest as a whole: round trips, damage, hostile tables. Single rules are in the vectors."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from format.manifests import manifests, sealed, small, table_of
from outlast.errors import CaptureError, DamageError, VersionError
from outlast.format import manifest as module
from outlast.format.manifest import HEAD_BYTES, decode, encode, is_unfinished
from outlast.format.model import Extent, Leaf
from outlast.format.names import ATTEMPT_LIMIT, STEP_LIMIT

replace = dataclasses.replace


@given(manifests())
def test_what_is_written_is_read_s23(manifest):
    data = encode(manifest)
    found = decode(data)
    assert found == manifest
    assert json.dumps(found.tree) == json.dumps(manifest.tree), "the order of keys, and -0.0"
    assert encode(found) == data
    json.loads(data)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_come_back_to_the_last_bit_s15(value):
    found = decode(encode(replace(small(), tree={"x": value, "l": [value]}, metrics={"m": value})))
    for one in (found.tree["x"], found.tree["l"][0], found.metrics["m"]):
        assert type(one) is float
        assert (one, math.copysign(1, one)) == (value, math.copysign(1, value))


def test_the_fields_stand_in_order_a_row_a_line_s23():
    lines = encode(small()).decode().splitlines()
    assert list(json.loads("\n".join(lines)))[:3] == ["format", "version", "requires"]
    assert list(json.loads("\n".join(lines)))[-1] == "manifest_digest"
    assert sum('"path":"m/' in line for line in lines) == 2
    assert [line[: line.find(":")] for line in lines if line.startswith(('"tree', '"metrics'))] == [
        '"tree"',
        '"metrics"',
    ]


@given(manifests())
def test_the_first_bytes_tell_that_a_run_was_not_done(manifest):
    assert is_unfinished(encode(manifest)[:HEAD_BYTES]) is not manifest.done


def test_the_first_bytes_tell_it_of_the_largest_numbers():
    limits = replace(small(), step=STEP_LIMIT - 1, attempt=ATTEMPT_LIMIT - 1, revision=ATTEMPT_LIMIT - 1, done=False)
    assert is_unfinished(encode(limits)[:HEAD_BYTES])


@pytest.mark.parametrize(
    "change", [(b'"done":', b'"done": '), (b'{"format"', b'{ "format"'), (b'"version":1', b'"version":2')]
)
def test_what_begins_as_none_of_ours_has_to_be_read(change):
    assert not is_unfinished(encode(replace(small(), done=False)).replace(*change)[:HEAD_BYTES])


def test_every_flipped_bit_is_damage_s09():
    data = encode(small())
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DamageError) as caught:
            decode(bytes(flipped), "step-000000007.a0002/manifest.json")
        assert caught.value.path == "step-000000007.a0002/manifest.json"


def test_every_cut_is_damage_s09():
    data = encode(small())
    for size in range(len(data)):
        with pytest.raises(DamageError):
            decode(data[:size])


def test_a_newer_version_is_no_damage_s11():
    newer = {**table_of(encode(small())), "version": 2}
    with pytest.raises(VersionError, match=r"m\.json has format 2, this outlast knows 1\n  -> upgrade outlast"):
        decode(sealed(newer), "m.json")
    with pytest.raises(VersionError, match="has format 7"):
        decode(sealed({"format": "outlast-checkpoint", "version": 7, "all": "new"}))
    needs = {**table_of(encode(small())), "requires": ["lz4", "x"]}
    with pytest.raises(VersionError, match=r"m\.json needs features that this outlast does not know: lz4, x"):
        decode(sealed(needs), "m.json")


def test_a_damaged_newer_version_is_damage_s09():
    data = bytearray(sealed({**table_of(encode(small())), "version": 2}))
    data[50] ^= 1
    with pytest.raises(DamageError):
        decode(bytes(data))


SUBSTITUTES = st.one_of(
    st.sampled_from([None, True, False, 0, -1, 1.5, 2**63, 2**53 + 1, "", "x", "..", "a/b", "\0", "0" * 32, [], {}]),
    st.sampled_from(
        [[[]], [0, 0, 0], {"$": "tuple"}, {"$": []}, {"$": "dict", "items": [1]}, {"$": "a.b", "leaf": []}]
    ),
    st.integers(-(10**19), 10**19),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
)


def places(value, path=()):
    """Every place in a table, the table itself left out."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from places(child, (*path, key))


def at(value, path):
    for key in path:
        value = value[key]
    return value


@settings(max_examples=500)
@given(manifests() | st.just(small()), st.data())
def test_a_sealed_table_with_anything_in_it_is_refused_or_keeps_the_rules(manifest, data):
    """As an attacker would: any places changed, the digest right. What is read all the same is sound."""
    table = table_of(encode(manifest))
    for _ in range(data.draw(st.integers(1, 3))):
        *path, key = data.draw(st.sampled_from(list(places(table))))
        owner = at(table, path)
        action = data.draw(st.sampled_from(["put", "drop", "twice"]))
        if action == "put":
            owner[key] = copy.deepcopy(data.draw(SUBSTITUTES))  # of its own: else a table may come to hold itself
        elif action == "drop":
            del owner[key]
        elif isinstance(owner, list):
            owner.append(copy.deepcopy(owner[key]))
    try:
        found = decode(sealed(table))
    except (DamageError, VersionError):
        return
    assert decode(encode(found)) == found


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"tree": {"x": float("nan")}}, "not JSON compliant"),
        ({"tree": {"x": 2**53 + 1}}, "stands plain in the tree"),
        ({"tree": {"x": object()}}, "no type of JSON"),
        ({"tree": {"x": "caf\udce9"}}, "surrogates not allowed"),
        ({"tree": {"x": "a" * 70_000}}, "longer than 65536 bytes"),
        ({"tree": {"x": {"$": "array", "leaf": "m/9"}}}, "names leaf 'm/9', which is not there"),
        ({"tree": {"x": json.loads("[" * 140 + "]" * 140)}}, "nests deeper than 128"),
        ({"metrics": {"loss": math.inf}}, "metric loss is inf"),
        ({"step": -1}, "step is -1"),
        ({"leaves": ()}, "names leaf 'm/1', which is not there"),
        ({"leaves": (*small().leaves, *small().leaves)}, "named twice"),
        ({"created": "today"}, "created is 'today'"),
    ],
)
def test_what_no_reader_would_accept_is_not_written(change, what):
    with pytest.raises(CaptureError, match=what) as caught:
        encode(replace(small(), **change))
    assert "cannot be written as a checkpoint" in str(caught.value)


def test_too_large_a_manifest_is_not_written_s14(monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    with pytest.raises(CaptureError, match=r"needs a manifest of \d+ bytes, the limit is 100"):
        encode(small())


def boxes(whole, rows):
    """A manifest of one int8 array in boxes (offset, shape)."""
    base = small()
    leaves, at_byte = [], 64
    for offset, shape in rows:
        size = math.prod(shape)
        extents = (Extent(part=0, at=at_byte, size_bytes=size),) if size else ()
        at_byte += size
        chunks = ("ab" * 16,) * -(-size // 64)
        leaves.append(
            Leaf(path="u", dtype="int8", shape=shape, size_bytes=size, extents=extents, chunks=chunks,
                 global_shape=whole, offset=offset)
        )  # fmt: skip
    part = replace(base.parts[0], size_bytes=at_byte)
    return replace(base, parts=(part,), leaves=tuple(leaves), tree={"u": {"$": "array", "leaf": "u"}}, files=())


def covers_once(whole, rows):
    """The slow truth: count every point."""
    count = dict.fromkeys(itertools.product(*map(range, whole)), 0)
    for offset, shape in rows:
        for point in itertools.product(*(range(o, o + s) for o, s in zip(offset, shape, strict=True))):
            count[point] += 1
    return set(count.values()) <= {1}


@st.composite
def tilings(draw):
    """Cut a box into pieces again and again; then perhaps spoil it."""
    whole = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    pieces = [((0,) * len(whole), whole)]
    for _ in range(draw(st.integers(0, 4))):
        offset, shape = pieces.pop(draw(st.integers(0, len(pieces) - 1)))
        along = draw(st.integers(0, len(whole) - 1))
        cut = draw(st.integers(0, shape[along]))
        first = tuple(cut if a == along else s for a, s in enumerate(shape))
        rest = tuple(s - cut if a == along else s for a, s in enumerate(shape))
        later = tuple(o + cut if a == along else o for a, o in enumerate(offset))
        pieces += [(offset, first), (later, rest)]
    for _ in range(draw(st.integers(0, 2))):
        number = draw(st.integers(0, len(pieces) - 1))
        offset, shape = pieces[number]
        moved = tuple(draw(st.integers(0, w - s)) for w, s in zip(whole, shape, strict=True))
        pieces[number] = (moved, shape)
    random.Random(0).shuffle(pieces)
    return whole, pieces


@settings(max_examples=400)
@given(tilings())
def test_boxes_cover_their_array_exactly_once_s37(tiling):
    whole, rows = tiling
    if covers_once(whole, rows):
        assert decode(encode(boxes(whole, rows))).leaves[0].global_shape == whole
    else:
        with pytest.raises(CaptureError, match="do not cover"):
            encode(boxes(whole, rows))


def test_twenty_thousand_leaves_are_no_matter():
    base = small()
    leaves = tuple(
        Leaf(path=f"model/{n}/w", dtype="float32", shape=(16,), size_bytes=64, chunks=("ab" * 16,),
             extents=(Extent(part=0, at=64 + 64 * n, size_bytes=64),))
        for n in range(20_000)
    )  # fmt: skip
    tree = {"model": {str(n): {"$": "array", "leaf": f"model/{n}/w"} for n in range(20_000)}}
    part = replace(base.parts[0], size_bytes=64 + 64 * 20_000)
    manifest = replace(base, parts=(part,), leaves=leaves, tree=tree)
    assert decode(encode(manifest)) == manifest
