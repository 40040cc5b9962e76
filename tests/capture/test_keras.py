"""Keras objects as components of the state, on the backend that this process has (the examples try all three)."""

from __future__ import annotations

import os

import numpy as np
import pytest

from capture.kit import Saved, roundtrip
from outlast import capture
from outlast.errors import CaptureError, MismatchError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras", reason="Keras is not installed here: pip install keras, and a backend")


@pytest.fixture(autouse=True)
def adapters():
    keras.utils.clear_session()
    capture.snapshots.KINDS.refresh()


def model(width: int = 4):
    keras.utils.clear_session()  # names are numbered from 1, as in a process of its own
    layers = [keras.layers.Dense(width), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)]
    return keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(2)])


def moved(made):
    for number, variable in enumerate(made.variables):
        variable.assign(np.full(variable.shape, number + 2).astype(variable.dtype))
    return made


def array(tensor) -> np.ndarray:
    found = keras.ops.convert_to_tensor(tensor)
    return found.numpy() if hasattr(found, "numpy") else np.asarray(found)


def values(made) -> list[list[float]]:
    return [array(variable).ravel().tolist() for variable in made.variables]


def test_a_model_with_its_statistics_and_seeds() -> None:
    saved, live = moved(model()), model()
    held = live.variables
    assert any("seed" in variable.path for variable in held)
    roundtrip({"m": saved}, {"m": live})
    assert values(live) == values(saved)
    assert all(one is other for one, other in zip(live.variables, held, strict=True))


def test_an_optimizer_with_slots_steps_and_rate() -> None:
    def built(rate: float):
        optimizer = keras.optimizers.Adam(rate)
        optimizer.build(model().trainable_variables)
        return optimizer

    saved, live = moved(built(0.1)), built(0.5)
    roundtrip({"o": saved}, {"o": live})
    assert values(live) == values(saved)
    other = keras.optimizers.SGD(0.1, momentum=0.9)
    other.build(model().trainable_variables)
    with pytest.raises(MismatchError, match="Adam"):
        roundtrip({"o": saved}, {"o": other})


def test_metrics_generators_and_variables() -> None:
    mean, seeds = keras.metrics.Mean(name="m"), keras.random.SeedGenerator(3)
    mean.update_state([1.0, 2.0])
    keras.random.normal((2,), seed=seeds)
    saved = Saved({"m": mean, "s": seeds, "v": keras.Variable([1.0, 2.0])})
    live = {"m": keras.metrics.Mean(name="m"), "s": keras.random.SeedGenerator(9), "v": keras.Variable([0.0, 0.0])}
    saved.into(live)
    assert float(live["m"].result()) == 1.5
    assert np.array_equal(
        array(keras.random.normal((3,), seed=live["s"])), array(keras.random.normal((3,), seed=seeds))
    )
    assert array(live["v"]).tolist() == [1, 2]


def test_the_generator_of_what_has_no_seed() -> None:
    keras.utils.set_random_seed(4)
    keras.random.normal((2,))
    saved = Saved({"rng": capture.RNG()})
    expected = array(keras.random.normal((3,)))
    keras.random.normal((5,))
    saved.into({"rng": capture.RNG()})
    assert np.array_equal(array(keras.random.normal((3,))), expected)


def test_what_is_not_built_is_refused() -> None:
    with pytest.raises(CaptureError, match=r"not built.*do not exist") as caught:
        capture.snapshot({"m": keras.Sequential([keras.layers.Dense(2)])}, capture.Pool())
    assert "model.build" in caught.value.hint
    with pytest.raises(CaptureError, match="slots do not exist") as caught:
        capture.snapshot({"o": keras.optimizers.Adam()}, capture.Pool())
    assert "optimizer.build" in caught.value.hint


def test_another_model_is_a_mismatch() -> None:
    with pytest.raises(MismatchError, match=r"m/.*kernel"):
        roundtrip({"m": model(4)}, {"m": model(5)})
