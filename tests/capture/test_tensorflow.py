"""TensorFlow: variables, modules, generators, tensors; Checkpoint in its own format, restored whole or not at all."""

from __future__ import annotations

import os

import numpy as np
import pytest

from capture.kit import Saved, roundtrip
from outlast import capture
from outlast.errors import CaptureError, MismatchError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed here: pip install tensorflow")


@pytest.fixture(autouse=True)
def adapters():
    capture.snapshots.KINDS.refresh()


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int64", "uint8", "bool", "complex64"])
def test_variables_and_tensors_of_every_dtype(dtype: str) -> None:
    values = tf.cast(tf.reshape(tf.range(6), (2, 3)), dtype)
    state = {"v": tf.Variable(values), "t": values, "l": [tf.zeros((), dtype)], "d": {"new": values}}
    live = {"v": tf.Variable(tf.zeros_like(values)), "t": tf.zeros((2, 3), dtype), "l": [tf.ones((), dtype)], "d": {}}
    variable = live["v"]
    roundtrip(state, live)
    assert live["v"] is variable
    for restored in (live["v"], live["t"], live["d"]["new"]):
        assert restored.dtype == values.dtype
        assert np.asarray(restored).tobytes() == np.asarray(values).tobytes()


def test_another_shape_is_a_mismatch() -> None:
    saved = Saved({"v": tf.Variable(tf.zeros(3))})
    with pytest.raises(MismatchError, match="v"):
        saved.into({"v": tf.Variable(tf.zeros(4))})


class Net(tf.Module):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.layers = [tf.Variable(tf.ones((width, width))) for _ in range(2)]
        self.scale = tf.Variable(2.0)


def test_a_module_by_its_variables() -> None:
    net, live = Net(), Net()
    net.layers[1].assign_add(tf.eye(3))
    held = live.layers[1]
    taken = capture.snapshot({"net": net}, capture.Pool())
    assert sorted(leaf.path for leaf in taken.leaves) == ["net/layers.0", "net/layers.1", "net/scale"]
    roundtrip({"net": net}, {"net": live})
    assert live.layers[1] is held
    assert np.array_equal(held, tf.ones((3, 3)) + tf.eye(3))
    with pytest.raises(MismatchError, match="net/layers"):
        roundtrip({"net": net}, {"net": Net(4)})


def test_generators_go_on_where_they_were() -> None:
    generator, live = tf.random.Generator.from_seed(3), tf.random.Generator.from_seed(4)
    generator.normal((2,))
    saved = Saved({"g": generator})
    expected = generator.normal((3,)).numpy()
    saved.into({"g": live})
    assert np.array_equal(live.normal((3,)), expected)
    with pytest.raises(MismatchError, match="algorithm"):
        saved.into({"g": tf.random.Generator.from_seed(1, alg="threefry")})


def test_the_global_seed_of_eager_operations() -> None:
    tf.random.set_seed(5)
    tf.random.uniform((2,))
    saved = Saved({"rng": capture.RNG()})
    expected = tf.random.uniform((3,)).numpy()
    tf.random.set_seed(6)
    tf.random.uniform((1,))
    saved.into({"rng": capture.RNG()})
    assert np.array_equal(tf.random.uniform((3,)), expected)


def pipeline():
    return iter(tf.data.Dataset.range(100).shuffle(30, seed=4).repeat().batch(7))


def test_an_iterator_of_tf_data_goes_on_in_the_middle() -> None:
    iterator, live = pipeline(), pipeline()
    for _ in range(20):
        next(iterator)
    saved = Saved({"c": tf.train.Checkpoint(iterator=iterator)})
    expected = [next(iterator).numpy().tolist() for _ in range(20)]
    saved.into({"c": tf.train.Checkpoint(iterator=live)})
    assert [next(live).numpy().tolist() for _ in range(20)] == expected


def test_tables_go_with_a_checkpoint() -> None:
    def table():
        return tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)

    full, live = table(), table()
    full.insert(tf.constant(["a", "b"]), tf.constant([1, 2], tf.int64))
    roundtrip({"c": tf.train.Checkpoint(table=full)}, {"c": tf.train.Checkpoint(table=live)})
    assert live.lookup(tf.constant(["b", "c"])).numpy().tolist() == [2, -1]


def test_a_checkpoint_that_lacks_something_is_refused_and_not_passed_over() -> None:
    saved = Saved({"c": tf.train.Checkpoint(a=tf.Variable(1.0), b=tf.Variable(2.0))})
    with pytest.raises(MismatchError, match="c"):
        saved.into({"c": tf.train.Checkpoint(a=tf.Variable(0.0))})
    with pytest.raises(MismatchError, match="c"):
        saved.into({"c": tf.train.Checkpoint(a=tf.Variable(0.0), other=tf.Variable(0.0))})


def test_what_has_no_bytes_of_its_own_is_refused_with_a_remedy() -> None:
    with pytest.raises(CaptureError, match="string") as caught:
        capture.snapshot({"s": tf.constant(["a"])}, capture.Pool())
    assert "tf.train.Checkpoint" in caught.value.hint
    with pytest.raises(CaptureError, match="open shape"):
        capture.snapshot({"s": tf.Variable([1.0], shape=tf.TensorShape(None))}, capture.Pool())
