"""Dtypes: S-39, against NumPy's own idea of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from outlast.errors import DamageError
from outlast.format.dtypes import SAFETENSORS_BYTES, itemsize, safetensors_dtype

NAMED = [
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
    "datetime64[ns]",
    "datetime64[25s]",
    "datetime64[generic]",
    "timedelta64[D]",
    "timedelta64[as]",
    "S0",
    "S7",
    "U0",
    "U3",
    "V16",
]


@pytest.mark.parametrize("name", NAMED)
def test_sizes_are_numpys_s39(name):
    code = name.removesuffix("[generic]")
    assert itemsize(name) == np.dtype(code).itemsize


@given(st_numpy.nested_dtypes(max_itemsize=500, subtype_strategy=st_numpy.scalar_dtypes()) | st_numpy.array_dtypes())
def test_structures_have_numpys_size_s39(dtype):
    if dtype.names is None or dtype.hasobject:
        return
    stored = dtype.newbyteorder("<")
    descr = json.dumps(stored.descr)
    if any(code in descr for code in ("f16", "c32", "f12", "c24")):  # extended precision has no portable name
        return
    assert itemsize("struct:" + descr) == dtype.itemsize


def test_structures_with_everything_s39():
    fields = [("a", "<f4", (2, 3)), (("title", "n"), "u1"), ("d", "M8[3D]"), ("s", "S3"), ("u", "U2"), ("v", "V4")]
    names = ["a", "n", "d", "s", "u", "v"]
    formats = [field[1:] if len(field) > 2 else field[1] for field in fields]
    dtype = np.dtype({"names": names, "formats": formats, "offsets": [0, 30, 40, 50, 56, 70]})  # with holes
    assert itemsize("struct:" + json.dumps(dtype.newbyteorder("<").descr)) == dtype.itemsize
    titled = np.dtype(fields).newbyteorder("<")
    assert itemsize("struct:" + json.dumps(titled.descr)) == titled.itemsize


@pytest.mark.parametrize(
    "name",
    [
        "",
        "float",
        "Float32",
        "float32 ",
        "<f4",
        "object",
        "O",
        "float128",
        "longdouble",
        "int4",
        "datetime64",
        "datetime64[]",
        "datetime64[0s]",
        "datetime64[weeks]",
        "S",
        "S-1",
        "S07",
        "U\u0663",
        "V2147483648",
        "U536870912",
        "struct",
        "struct:",
        "struct:{}",
        "struct:1",
        "struct:[1]",
        'struct:["x"]',
        'struct:[["x"]]',
        'struct:[["x",1]]',
        'struct:[["x","<f4",[2],1]]',
        'struct:[["x","|O"]]',
        'struct:[["x","=f4"]]',
        'struct:[["x","<f16"]]',
        'struct:[["x","<f4",[1.5]]]',
        'struct:[["x","<f4",[true]]]',
        'struct:[["x","<f4","23"]]',
        'struct:[[1,"<f4"]]',
        'struct:[[["a"],"<f4"],["a","<f4"]]',
        'struct:[["x","<M8[x]"]]',
        'struct:[["x","<S"]]',
        'struct:[["x","<f4\\n"]]',
        'struct:[["\ud800","<f4"],["x",NaN]]',
        "struct:" + "[" * 100_000,
        "struct:" + " " * (1 << 20) + "[]",
    ],
)
def test_any_other_dtype_is_damage_s39(name):
    with pytest.raises(DamageError) as caught:
        itemsize(name)
    assert len(str(caught.value)) < 300


@given(st.text() | st.text(alphabet='struct:[]",<|fiubcmMSUV0123456789').map("struct:{}".format))
def test_any_text_has_a_size_or_is_damage_s39(text):
    try:
        assert 0 <= itemsize(text) < 2**31
    except DamageError:
        return


@pytest.mark.parametrize("name", ["complex64", "datetime64[ns]", "S3", "bytes", "utf8", "float8_e8m0fnu", "struct:[]"])
def test_what_safetensors_does_not_know_stands_as_bytes(name):
    assert safetensors_dtype(name) == ("U8", False)


@pytest.mark.parametrize(("name", "kind"), [("bool", "BOOL"), ("bfloat16", "BF16"), ("float8_e4m3fn", "F8_E4M3")])
def test_what_it_knows_keeps_its_name_and_size(name, kind):
    assert safetensors_dtype(name) == (kind, True)
    assert SAFETENSORS_BYTES[kind] == itemsize(name)
