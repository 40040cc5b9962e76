"""NumPy arrays of every dtype and layout: bit-exact, in place, in the live array's own byte order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from capture.kit import Saved, identical, roundtrip
from outlast.capture import Pool, check, snapshot
from outlast.errors import CaptureError, DamageError, MismatchError

STRUCT = np.dtype([("a", "<f4"), ("b", ">i2", (2, 3)), ("c", [("x", "S3"), ("y", "M8[ms]")])], align=True)
TITLED = np.dtype([(("a title", "a"), "<f4"), ("b", "?")])
PADDED = np.dtype({"names": ["b", "a"], "formats": ["u1", "f8"], "offsets": [8, 0], "itemsize": 32})
DTYPES = [
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", "complex64", "complex128", "longdouble", "clongdouble",
    ">f8", ">i2", ">c16", "M8[ns]", "m8[D]", ">M8[25us]", "M8", "S5", "U7", ">U3", "V3",
    STRUCT, STRUCT.newbyteorder(">"), PADDED, TITLED,
]  # fmt: skip


def filled(dtype, shape=(3, 4)):
    dtype = np.dtype(dtype)
    array = np.zeros(shape, dtype)
    raw = np.random.default_rng(5).integers(0, 256, array.nbytes, np.uint8)
    if dtype.kind in "UbgG" or dtype.char in "gG?":
        array[...] = np.arange(array.size).reshape(shape).astype(dtype if dtype.kind != "U" else "U3")
        return array
    if dtype.names or dtype.kind in "SV":
        raw &= 0x3F
    return np.ndarray(shape, dtype, buffer=raw.tobytes()).copy()


def layouts(array):
    yield "C", array
    yield "F", np.asfortranarray(array)
    yield "negative", array[::-1, ::-2]
    yield "sliced", np.repeat(array, 2, axis=1)[:, ::2]
    yield "0-d", array[0, 0, ...].reshape(())
    yield "zero", array[:0]


def fields_equal(one, other):
    if one.dtype.char in "gG":  # some of their bytes mean nothing
        return one.dtype == other.dtype and bool((one == other).all())
    if one.dtype.names:
        return all(fields_equal(one[name], other[name]) for name in one.dtype.names)
    return identical(np.ascontiguousarray(one), np.ascontiguousarray(other))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_in_every_layout_is_filled_in_place(dtype):
    for name, array in layouts(filled(dtype)):
        live = np.zeros_like(array)
        kept = live
        state = roundtrip({"u": array}, {"u": live})
        assert state["u"] is kept, name
        assert live.dtype == array.dtype
        assert live.strides == np.zeros_like(array).strides
        assert fields_equal(live, array), name


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_is_made_where_there_is_none(dtype):
    array = filled(dtype)
    made = roundtrip({"d": {"u": array}}, {"d": {}})["d"]["u"]
    assert type(made) is np.ndarray
    assert fields_equal(made, array.astype(made.dtype))
    assert made.dtype.newbyteorder("=") == array.dtype.newbyteorder("=") or made.dtype.names == array.dtype.names
    assert made.flags.writeable


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_scalars(dtype):
    scalar = filled(dtype)[1, 1]
    made = roundtrip({"s": scalar}, {"s": 0})["s"]
    assert type(made) is type(scalar)
    assert fields_equal(np.asarray(made), np.asarray(scalar).astype(made.dtype))


@given(
    array=npst.arrays(
        dtype=npst.scalar_dtypes() | npst.array_dtypes(),
        shape=npst.array_shapes(min_dims=0, min_side=0, max_side=4),
    ),
    order=st.sampled_from("CF"),
)
def test_any_array(array, order):
    live = np.zeros(array.shape, array.dtype, order=order)
    state = roundtrip({"u": array, "d": {}}, {"u": live, "d": {}})
    assert state["u"] is live
    assert fields_equal(live, array)


def test_bytes_are_little_endian_c_order_and_contiguous_in_the_pool():
    state = {
        "a": np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)),
        "b": np.float64(1.5),
        "c": b"x" * 5000,
    }
    taken = snapshot(state, Pool())
    assert [leaf.path for leaf in taken.leaves] == ["a", "b", "c"]
    whole = b"".join(bytes(leaf.data) for leaf in taken.leaves)
    assert whole == np.arange(6, dtype="<i4").tobytes() + np.float64(1.5).tobytes() + b"x" * 5000
    assert taken.size_bytes == len(whole) == check(state)
    begin = [np.frombuffer(leaf.data, np.uint8).ctypes.data for leaf in taken.leaves]
    assert begin == [begin[0], begin[0] + 24, begin[0] + 32]


def test_one_pool_serves_again_and_invalidates_what_it_gave():
    pool = Pool()
    state = {"u": np.arange(1000.0)}
    first = snapshot(state, pool)
    capacity = pool.capacity_bytes
    state["u"] += 1
    second = snapshot(state, pool)
    assert pool.capacity_bytes == capacity
    assert np.frombuffer(second.leaves[0].data)[0] == 1
    assert second.leaves is first.leaves  # the same places: nothing is made anew
    state["u"] = np.arange(10_000.0)
    assert bytes(snapshot(state, pool).leaves[0].data) == state["u"].tobytes()
    with pytest.raises(ValueError, match="released"):
        first.leaves[0].data[0]
    assert pool.capacity_bytes < 2 * 80_000


def test_a_snapshot_does_not_change_with_the_state():
    state = {"u": np.zeros(4)}
    taken = snapshot(state, Pool())
    state["u"] += 1
    assert bytes(taken.leaves[0].data) == np.zeros(4).tobytes()


def test_memory_maps(tmp_path):
    live = np.memmap(tmp_path / "m", "f8", "w+", shape=(4,))
    state = roundtrip({"m": np.arange(4.0)}, {"m": live})
    assert state["m"] is live
    live.flush()
    assert np.fromfile(tmp_path / "m").tolist() == [0, 1, 2, 3]
    assert check({"m": live}) == 32


def test_a_read_only_array_is_replaced():
    live = np.zeros(3)
    live.flags.writeable = False
    state = roundtrip({"u": np.arange(3.0)}, {"u": live})
    assert state["u"].tolist() == [0, 1, 2]
    assert live.tolist() == [0, 0, 0]


def test_a_read_only_view_of_an_array_is_filled_with_it():
    def build():
        array = np.zeros(3)
        view = array.view()
        view.flags.writeable = False
        return {"view": view, "array": array}

    saved, live = build(), build()
    saved["array"][:] = 7
    held = dict(live)
    roundtrip(saved, live)
    assert live["view"] is held["view"]
    assert live["array"] is held["array"]
    assert live["view"].tolist() == live["array"].tolist() == [7, 7, 7]
    assert not live["view"].flags.writeable
    assert roundtrip({"u": np.arange(3.0)}, {"u": np.broadcast_to(np.zeros(1), 3)})["u"].tolist() == [0, 1, 2]


def test_an_empty_live_array_may_grow():
    state = roundtrip({"h": np.arange(5.0)}, {"h": np.empty(0)})
    assert state["h"].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_subclasses_are_filled_and_not_made():
    live = np.matrix(np.zeros((2, 2)))
    state = roundtrip({"m": np.matrix([[1, 2], [3, 4.0]])}, {"m": live})
    assert state["m"] is live
    assert live.tolist() == [[1, 2], [3, 4]]
    records = np.zeros(2, [("a", "f8")]).view(np.recarray)
    saved = records.copy()
    saved.a[:] = [1, 2]
    assert roundtrip({"r": saved}, {"r": records})["r"].a.tolist() == [1, 2]
    with pytest.raises(MismatchError, match=r"m: saved as numpy.*matrix, the program has nothing"):
        roundtrip({"d": {"m": live}}, {"d": {}})


def test_views_of_the_same_memory_are_saved_once_and_stay_tied():
    base = np.arange(6.0)
    saved = {"a": base, "b": {"view": base[:]}, "part": base[1:]}
    assert check(saved) == 48 + 40
    buffer = np.zeros(6)
    live = {"a": buffer, "b": {"view": buffer[:]}, "part": buffer[1:]}
    held = live["b"]["view"]
    checkpoint = Saved(saved)
    checkpoint.into(live)
    assert live["b"]["view"].tolist() == base.tolist()
    assert np.shares_memory(live["b"]["view"], live["a"])
    assert checkpoint.source.read == ["a", "part"]
    assert np.shares_memory(held, buffer)
    untied = {"a": np.zeros(6), "b": {"view": np.zeros(6)}, "part": np.zeros(5)}
    one = untied["a"]
    roundtrip(saved, untied)
    view = untied["b"]["view"]
    assert untied["a"] is one is not view
    assert one.tolist() == base.tolist()
    assert np.shares_memory(one, view)


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_a_subclass_and_a_plain_view_of_it():
    saved, live = np.matrix([[1.0, 2.0]]), np.matrix([[0.0, 0.0]])
    state = {"m": live, "v": np.asarray(live)}
    roundtrip({"m": saved, "v": np.asarray(saved)}, state)
    assert state["m"] is live
    assert live.tolist() == state["v"].tolist() == [[1, 2]]


def test_arrays_saved_apart_come_apart_though_the_program_begins_with_one():
    x = np.zeros(2)
    live = roundtrip({"x": np.ones(2), "best": np.full(2, 5.0)}, {"x": x, "best": x})
    assert live["x"] is x
    assert x.tolist() == [1, 1]
    assert live["best"].tolist() == [5, 5]


def test_numpy_scalars_as_keys():
    saved = {"d": {np.int64(3): 1, np.str_("a"): 2, (np.uint8(1), 2): 3}, "s": {np.float32(1.5)}}
    live = roundtrip(saved, {"d": {}, "s": set()})
    assert identical(live, saved)


@pytest.mark.parametrize(
    ("array", "reason", "remedy"),
    [
        (np.array([None, 1], object), "Python objects", "fixed dtype"),
        (np.array([(1, None)], [("a", "i4"), ("b", "O")]), "Python objects", "fixed dtype"),
        (np.array(["a"], np.dtypes.StringDType()), "variable-length strings", r"U<n>"),
        (np.ma.array([1, 2], mask=[0, 1]), "masked array", r"\.mask"),
        (np.zeros(2, [("a", "longdouble")]), "extended precision", "float64"),
    ],
    ids=["object", "object field", "StringDType", "masked", "longdouble field"],
)
def test_refusals(array, reason, remedy):
    with pytest.raises(CaptureError, match=rf"sim/u.*{reason}[\s\S]*{remedy}"):
        check({"sim": {"u": array}})


@pytest.mark.parametrize(
    ("live", "detail"),
    [
        (np.zeros((3, 2)), r"u: saved as float64\[2, 3\], the program has float64\[3, 2\]"),
        (np.zeros((2, 3), "f4"), r"u: saved as float64\[2, 3\], the program has float32\[2, 3\]"),
        (np.zeros((2, 3), "i8"), r"the program has int64\[2, 3\]"),
    ],
)
def test_another_shape_or_dtype_is_a_mismatch_everywhere(live, detail):
    saved = np.arange(6.0).reshape(2, 3)
    before = live.copy()
    for wrap in (lambda array: {"u": array}, lambda array: {"d": {"l": [{"u": array}]}}):
        with pytest.raises(MismatchError, match=detail):
            roundtrip(wrap(saved), wrap(live))
        assert identical(live, before)
    report = Saved({"u": saved, "v": 1}).into(state := {"u": live, "v": 0}, allow=["u"])
    assert state["u"] is live
    assert identical(live, before)
    assert state["v"] == 1
    assert [row.status for row in report.rows] == ["kept", "restored"]


def test_a_manifest_cannot_ask_for_objects():
    checkpoint = Saved({"d": {"u": np.zeros(2)}})
    for dtype in ("O", "object", 'struct:[["a","|O"]]', "os.system", "float64,O", "nope"):
        leaf = checkpoint.leaves["d/u"]
        leaves = {"d/u": type(leaf)(path="d/u", dtype=dtype, shape=(2,), size_bytes=16, extents=(), chunks=())}
        checkpoint.leaves = leaves
        with pytest.raises((MismatchError, DamageError)):
            checkpoint.into({"d": {}})


def test_a_size_that_contradicts_the_shape_is_damage():
    checkpoint = Saved({"d": {"u": np.zeros(2)}})
    checkpoint.leaves = {
        "d/u": type(checkpoint.leaves["d/u"])(
            path="d/u", dtype="float64", shape=(10**15,), size_bytes=16, extents=(), chunks=()
        )
    }
    with pytest.raises(DamageError, match="cannot have 16 bytes"):
        checkpoint.into({"d": {}})


def ordered(shape, axes):
    return np.random.default_rng(3).random([shape[axis] for axis in axes]).transpose(np.argsort(axes))


@pytest.mark.parametrize("axes", [(1, 0, 2), (2, 1, 0), (0, 2, 1), (1, 2, 0)])
def test_a_new_array_keeps_the_order_of_its_axes(axes):
    saved = ordered((30, 40, 50), axes)
    made = roundtrip({"d": {"u": saved}}, {"d": {}})["d"]["u"]
    assert made.strides == saved.strides
    assert identical(made, saved)
    assert made.sum().tobytes() == saved.sum().tobytes()
    live = np.zeros(saved.shape)
    assert roundtrip({"u": saved}, {"u": live})["u"] is live
    assert live.flags.c_contiguous


def test_only_dense_arrays_in_another_order_say_so():
    whole = np.zeros((4, 6))
    arrays = {"c": whole, "f": np.asfortranarray(whole), "cut": whole[:, ::2], "row": np.zeros((1, 5)).T}
    arrays["none"] = whole.T[:0]
    tree = snapshot({"d": arrays}, Pool()).tree["d"]
    assert {name: node.get("order") for name, node in tree.items()} == dict.fromkeys(arrays) | {"f": [1, 0]}


def test_an_order_that_is_none_is_damage():
    for order in ([0], [0, 0], 1, ["a", 1]):
        checkpoint = Saved({"d": {"u": np.zeros((2, 2))}})
        checkpoint.tree["d"]["u"]["order"] = order
        with pytest.raises(DamageError, match="does not name each of 2 axes once"):
            checkpoint.into({"d": {}})
