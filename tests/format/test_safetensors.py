"""Parts: S-20 to S-22. The judge is the stock safetensors package."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import safetensors
from hypothesis import example, given, settings
from hypothesis import strategies as st

from outlast.errors import CaptureError, DamageError
from outlast.format import safetensors as part
from outlast.format.dtypes import itemsize, safetensors_dtype

DTYPES = ["bool", "uint8", "float16", "bfloat16", "float32", "int64", "complex64", "datetime64[ns]", "S3", "utf8"]
leaves = st.lists(
    st.tuples(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(["w", "w~2", "__metadata__"]),
        st.sampled_from(DTYPES),
        st.lists(st.integers(0, 3), max_size=3).map(tuple),
    ),
    max_size=6,
).map(lambda rows: [(name, dtype, shape, itemsize(dtype) * math.prod(shape)) for name, dtype, shape in rows])


def whole(rows, metadata=None):
    """A file: each leaf's bytes count its place."""
    head, offsets = part.header(rows, metadata or {})
    data = b"".join(bytes([i % 2]) * row[3] for i, row in enumerate(rows))
    return head, offsets, head + data


@given(leaves, st.dictionaries(st.sampled_from(["format", "step"]), st.text("abc☃")))
@example([("w", "float32", (2,), 8)] * 3, {})
@example([("w~2", "uint8", (1,), 1), ("w", "uint8", (1,), 1), ("w", "uint8", (1,), 1), ("w~2", "uint8", (1,), 1)], {})
@example([("__metadata__", "uint8", (), 1)], {"a": "b"})
@example([], {})
def test_stock_readers_open_it_s20_s21(rows, metadata):
    head, offsets, data = whole(rows, metadata)
    assert len(head) % 8 == 0
    found = safetensors.deserialize(data)
    assert len(found) == len(rows)
    assert len({name for name, _ in found}) == len(rows)
    mine = part.parse_header(data, len(data))
    by_name = dict(found)
    for (name, (kind, shape, begin, end)), offset, row in zip(mine.items(), offsets, rows, strict=True):
        assert name.startswith(row[0].partition("~")[0])
        assert (begin, end) == (offset, offset + row[3])
        assert (kind, list(shape)) == (by_name[name]["dtype"], by_name[name]["shape"])
        assert bytes(by_name[name]["data"]) == data[begin:end]
        keeps = safetensors_dtype(row[1])[1]
        assert shape == (row[2] if keeps else (row[3],))


def test_the_stock_package_gives_the_arrays_s20_s22(tmp_path: Path):
    arrays = {"odd": np.arange(3, dtype="u1"), "w": np.arange(6.0).reshape(2, 3), "none": np.zeros((0, 2), "f4")}
    rows = [(name, a.dtype.name, a.shape, a.nbytes) for name, a in arrays.items()]
    head, _ = part.header([*rows, ("t", "float64", (), 8)], {"checkpoint": "step-000000001.a0001"})
    file = tmp_path / "part-00000.safetensors"
    file.write_bytes(head + b"".join(a.tobytes() for a in arrays.values()) + np.float64(0.5).tobytes())
    with safetensors.safe_open(file, "np") as opened:
        assert opened.metadata() == {"checkpoint": "step-000000001.a0001"}
        for name, array in arrays.items():
            np.testing.assert_array_equal(opened.get_tensor(name), array)
            assert opened.get_tensor(name).shape == array.shape
        assert opened.get_tensor("t") == 0.5


def test_a_first_leaf_keeps_its_name_and_others_get_suffixes_s21():
    rows = [(name, "uint8", (1,), 1) for name in ("w", "w", "__metadata__", "w~2", "w")]
    _, _, data = whole(rows)
    assert list(part.parse_header(data, len(data))) == ["w", "w~2", "__metadata__~2", "w~2~2", "w~3"]


def test_a_leaf_of_an_unknown_dtype_is_refused_by_name_s39():
    with pytest.raises(CaptureError, match=r"^m/w: unknown dtype 'int4'"):
        part.header([("m/w", "int4", (2,), 1)], {})


def test_bytes_that_do_not_fit_are_our_own_mistake():
    with pytest.raises(ValueError, match="m/w: 7 bytes do not fit dtype float32"):
        part.header([("m/w", "float32", (2,), 7)], {})


def test_too_many_leaves_are_refused_s20(monkeypatch):
    monkeypatch.setattr(part, "MAX_HEADER_BYTES", 100)
    with pytest.raises(CaptureError, match=r"2 leaves need a header of \d+ bytes, safetensors allows 100"):
        part.header([("a", "int8", (1,), 1), ("b", "int8", (1,), 1)], {})


def entry(dtype="U8", shape=(1,), offsets=(0, 1), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


def file_of(table, size=1, text=None):
    text = text if text is not None else json.dumps(table).encode()
    return len(text).to_bytes(8, "little") + text + b"\0" * size


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "is too short"),
        (b"\1\0\0", "is too short"),
        (b"\xff" * 8, "announces a header of 18446744073709551615 bytes"),
        ((100_000_001).to_bytes(8, "little") + b" " * 64, "announces a header of 100000001 bytes"),
        (file_of({"a": entry()})[:20], "announces a header"),
        (file_of({"a": entry()}, 0), "has .* bytes, its header accounts for"),
        (file_of({"a": entry()}, 2), "has .* bytes, its header accounts for"),
        (file_of({"a": entry(offsets=(1, 2))}, 2), "a begins at .*: a hole or an overlap"),
        (file_of({"a": entry(), "b": entry()}), "b begins at .*: a hole or an overlap"),
        (file_of({"a": entry(offsets=(1, 0))}), "-1 bytes do not fit dtype U8"),
        (file_of({"a": entry(offsets=(0, -1))}), "not a tensor that a part may hold"),
        (file_of({"a": entry(offsets=(0, 1, 2))}), "not a tensor that a part may hold"),
        (file_of({"a": entry(offsets=(0, True))}), "not a tensor that a part may hold"),
        (file_of({"a": entry(shape=(2,))}), "1 bytes do not fit dtype U8"),
        (file_of({"a": entry(shape=(2**62, 2**62))}), "1 bytes do not fit dtype U8"),
        (file_of({"a": entry(dtype="F4")}), "not a tensor that a part may hold"),
        (file_of({"a": entry(dtype=["U8"])}), "not a tensor that a part may hold"),
        (file_of({"a": entry(strides=[1])}), "expected dtype, shape and data_offsets"),
        (file_of({"a": 1}), "expected dtype, shape and data_offsets"),
        (file_of({"a": entry(), "__metadata__": {"a": 1}}), "metadata are not strings"),
        (file_of({"a": entry(), "__metadata__": "x"}), "metadata are not strings"),
        (file_of(None, text=b"[]"), "does not begin with a brace"),
        (file_of(None, text=b" {}"), "does not begin with a brace"),
        (file_of(None, text=b'{"a":{},"a":{}}'), "a key stands twice"),
        (file_of(None, text=b"{" * 1000), "nests deeper"),
        (file_of(None, text=b"{}\n\n"), "accounts for"),
    ],
)
def test_a_header_is_read_strictly_s20(data, what):
    with pytest.raises(DamageError, match=what) as caught:
        part.parse_header(data, len(data), "step-000000001.a0001/part-00000.safetensors")
    assert caught.value.path == "step-000000001.a0001/part-00000.safetensors"


@settings(max_examples=300)
@given(leaves, st.data())
def test_a_changed_header_is_damage_or_another_valid_one_s20(rows, data):
    _, _, whole_file = whole(rows)
    changed = bytearray(whole_file)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = part.parse_header(bytes(changed), len(changed))
    except DamageError:
        return
    assert sum(end - begin for *_, begin, end in found.values()) == sum(row[3] for row in rows)


@given(st.binary(max_size=100))
def test_any_bytes_are_damage_or_a_header_s20(data):
    try:
        part.parse_header(data, len(data))
    except DamageError:
        return


def test_what_the_stock_package_writes_is_read(tmp_path: Path):
    from safetensors.numpy import save

    data = save({"a": np.arange(3.0), "b": np.array(True), "c": np.zeros((0, 4), "u2")}, {"by": "stock"})
    found = part.parse_header(data, len(data))
    assert {name: row[:2] for name, row in found.items()} == {
        "a": ("F64", (3,)),
        "b": ("BOOL", ()),
        "c": ("U16", (0, 4)),
    }
    assert np.frombuffer(data[slice(*found["a"][2:])]).tolist() == [0, 1, 2]


def test_the_header_alone_is_enough_s31():
    head, _, data = whole([("a", "float32", (4,), 16)])
    assert part.header_bytes(data[:8], len(data)) == len(head)
    assert part.parse_header(head, len(data)) == part.parse_header(data, len(data))
    with pytest.raises(DamageError, match="cut short"):
        part.parse_header(head[:-8], len(data))
