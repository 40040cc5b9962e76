"""`Training.fit`: data of all kinds entered in the middle, callbacks that go on knowing, several fits, what is refused.

On TensorFlow, in one process: an attempt ends by a notice that a callback gives. Kills, and the other backends, are in
tests/frameworks.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from outlast.errors import MismatchError, Preempted, UsageError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras", reason="Keras is not installed here: pip install keras, and a backend")

from outlast.integrations.keras import Training  # noqa: E402

DRAWN = np.random.default_rng(1)
X, Y = DRAWN.normal(size=(80, 4)).astype("float32"), DRAWN.integers(0, 2, 80)


class Leave(keras.callbacks.Callback):
    """Gives notice in one batch; counts all batches that it sees."""

    def __init__(self, at: int = -1) -> None:
        super().__init__()
        self.count, self.seen, self.training = 0, [], None
        self.is_time = lambda: self.count == at  # not plain, and so not kept

    def on_train_batch_end(self, batch, logs=None):
        self.count += 1
        self.seen.append(float(logs["loss"]).hex())
        if self.is_time():
            self.training.run.leave()


class Items(keras.utils.PyDataset):
    def __init__(self) -> None:
        super().__init__()
        self.order = np.random.default_rng(2)
        self.chosen = self.order.permutation(8)

    def __len__(self) -> int:
        return 8

    def __getitem__(self, at: int):
        part = slice(10 * self.chosen[at], 10 * self.chosen[at] + 10)
        return X[part], Y[part]

    def on_epoch_end(self) -> None:
        self.chosen = self.order.permutation(8)


def of_epoch(epoch: int):
    order = np.random.default_rng([9, epoch]).permutation(80)
    return [(X[part], Y[part]) for part in np.split(order, 8)]


def as_tf_data(epoch: int):
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(40, seed=epoch).batch(10)


def generated(epoch: int):
    yield from of_epoch(epoch)


DATA = {
    "arrays": lambda: {"x": X, "y": Y, "batch_size": 10, "sample_weight": np.linspace(0, 1, 80)},
    "arrays with a rest": lambda: {"x": X[:75], "y": Y[:75], "batch_size": 10},
    "items": lambda: {"x": Items()},
    "a function that lists": lambda: {"x": of_epoch, "steps_per_epoch": 8},
    "a function that yields": lambda: {"x": generated, "steps_per_epoch": 8},
    "tf.data": lambda: {"x": as_tf_data, "steps_per_epoch": 8},
}


def model(**how):
    keras.utils.clear_session()
    keras.utils.set_random_seed(3)
    layers = [keras.layers.Dense(6, "tanh"), keras.layers.Dropout(0.4), keras.layers.Dense(1, "sigmoid")]
    made = keras.Sequential([keras.Input((4,)), *layers])
    how = {"run_eagerly": True, **how}  # tracing would take longer than these trainings
    made.compile(keras.optimizers.Adam(0.05), "binary_crossentropy", metrics=["mae"], jit_compile=False, **how)
    return made


def attempt(store: Path, leave: Leave, data: dict, epochs: int = 3, callbacks=(), **how):
    made = model(**how)
    with Training(store, made, every=1000) as training:
        leave.training = training
        history = training.fit(**data, epochs=epochs, callbacks=[*callbacks, leave], verbose=0)
        return history.history, [value.tobytes() for value in made.get_weights()]


@pytest.mark.parametrize("kind", DATA)
def test_each_kind_of_data_is_entered_in_the_middle(tmp_path: Path, kind: str) -> None:
    plain = Leave()
    expected = attempt(tmp_path / "plain", plain, DATA[kind]())
    first, second, third = Leave(3), Leave(9), Leave()
    for leave in (first, second):
        with pytest.raises(Preempted):
            attempt(tmp_path / "s", leave, DATA[kind]())
    found = attempt(tmp_path / "s", third, DATA[kind]())
    assert third.seen == plain.seen  # what a callback has noted goes on, and nothing twice
    assert (first.count, second.count, third.count) == (3, 9, 24)
    assert found == expected


def test_the_boundary_of_an_epoch_is_one_like_others(tmp_path: Path) -> None:
    plain = Leave()
    expected = attempt(tmp_path / "plain", plain, DATA["arrays"]())
    leave = Leave(8)  # in the last batch: the epoch's end is the boundary
    with pytest.raises(Preempted):
        attempt(tmp_path / "s", leave, DATA["arrays"]())
    third = Leave()
    assert attempt(tmp_path / "s", third, DATA["arrays"]()) == expected
    assert third.seen == plain.seen


def test_a_part_held_back_for_validation_is_that_of_keras(tmp_path: Path) -> None:
    given = {"x": X, "y": Y, "sample_weight": np.linspace(0, 1, 80), "batch_size": 10, "epochs": 3, "verbose": 0}
    given |= {"shuffle": False, "validation_split": 0.3}
    of_keras = model().fit(**given).history
    with Training(tmp_path / "plain", made := model()) as training:
        history = training.fit(**given).history
    assert history == of_keras
    assert "val_loss" in history
    del given["epochs"], given["verbose"]
    leave = Leave()
    with pytest.raises(Preempted):
        attempt(tmp_path / "s", Leave(8), given)
    assert attempt(tmp_path / "s", leave, given) == (history, [value.tobytes() for value in made.get_weights()])
    assert leave.count == 3 * 6


@pytest.mark.parametrize(
    "form", [lambda y: y, lambda y: y[:, None], lambda y: np.eye(2)[y]], ids=["numbers", "column", "one of two"]
)
def test_weights_of_classes_are_those_of_keras(tmp_path: Path, form) -> None:
    made = [keras.Sequential([keras.Input((4,)), keras.layers.Dense(form(Y).shape[-1] if form(Y).ndim > 1 else 1)])]
    made.append(keras.models.clone_model(made[0]))
    made[1].set_weights(made[0].get_weights())
    given = {"x": X, "y": form(Y), "batch_size": 10, "epochs": 2, "verbose": 0, "shuffle": False}
    given |= {"class_weight": {0: 0.25}, "validation_split": 0.25}
    for one in made:
        one.compile("sgd", "mse", run_eagerly=True)
    of_keras = made[0].fit(**given).history
    with Training(tmp_path / "s", made[1]) as training:
        assert training.fit(**given).history == of_keras


def test_several_batches_in_one_execution(tmp_path: Path) -> None:
    expected = attempt(tmp_path / "plain", Leave(), DATA["arrays"](), steps_per_execution=2, run_eagerly=False)
    with pytest.raises(Preempted):
        attempt(tmp_path / "s", Leave(6), DATA["arrays"](), steps_per_execution=2, run_eagerly=False)
    assert attempt(tmp_path / "s", Leave(), DATA["arrays"](), steps_per_execution=2, run_eagerly=False) == expected
    with pytest.raises(UsageError, match="no multiple of steps_per_execution"):
        attempt(tmp_path / "t", Leave(), DATA["arrays"](), steps_per_execution=3, run_eagerly=False)


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")  # Keras's own
def test_early_stopping_remembers_and_is_not_trained_past(tmp_path: Path) -> None:
    def callbacks():
        stopping = keras.callbacks.EarlyStopping(monitor="loss", patience=1, min_delta=10, restore_best_weights=True)
        return [stopping, keras.callbacks.ReduceLROnPlateau(monitor="loss", patience=1, min_delta=10)]

    expected = attempt(tmp_path / "plain", Leave(), DATA["arrays"](), 9, callbacks())
    assert len(expected[0]["loss"]) == 2
    with pytest.raises(Preempted):
        attempt(tmp_path / "s", Leave(12), DATA["arrays"](), 9, callbacks())
    with pytest.raises(Preempted):  # the notice comes in the batch after which it stops
        attempt(tmp_path / "s", Leave(16), DATA["arrays"](), 9, callbacks())
    assert attempt(tmp_path / "s", Leave(), DATA["arrays"](), 9, callbacks()) == expected


def test_other_callbacks_are_a_mismatch(tmp_path: Path) -> None:
    stopping = keras.callbacks.EarlyStopping(monitor="loss")
    with pytest.raises(Preempted):
        attempt(tmp_path / "s", Leave(2), DATA["arrays"](), callbacks=[stopping])
    with pytest.raises(MismatchError, match="EarlyStopping at the save, it has Leave there now"):
        attempt(tmp_path / "s", Leave(), DATA["arrays"]())


def test_two_fits_in_one_block(tmp_path: Path) -> None:
    def both(store: Path, leave: Leave):
        made = model()
        with Training(store, made, every=1000) as training:
            leave.training = training
            one = training.fit(X, Y, epochs=1, batch_size=10, callbacks=[leave], verbose=0)
            two = training.fit(X, Y, epochs=2, batch_size=20, callbacks=[leave], verbose=0)
            return one.history, two.history, [value.tobytes() for value in made.get_weights()]

    plain, last = Leave(), Leave()
    expected = both(tmp_path / "plain", plain)
    for at in (5, 13):
        with pytest.raises(Preempted):
            both(tmp_path / "s", Leave(at))
    assert both(tmp_path / "s", last) == expected
    assert last.seen == plain.seen


def test_what_cannot_be_entered_in_the_middle_is_refused(tmp_path: Path) -> None:
    made = model()
    with Training(tmp_path / "s", made) as training:
        with pytest.raises(UsageError, match="which epoch's order") as caught:
            training.fit(generated(0), steps_per_epoch=8)
        assert "lambda epoch" in caught.value.hint
        with pytest.raises(UsageError, match="how many batches"):
            training.fit(generated)
        with pytest.raises(UsageError, match="8 batches"):
            training.fit(X, Y, batch_size=10, steps_per_epoch=9)
        with pytest.raises(UsageError, match="validation_split needs arrays"):
            training.fit(of_epoch, validation_split=0.2)
        with pytest.raises(UsageError, match="of 80 samples leaves nothing"):
            training.fit(X, Y, validation_split=0.999)
        for given in ({"x": of_epoch}, {"x": X, "y": Y, "sample_weight": Y}):
            with pytest.raises(UsageError, match="class_weight needs targets in one array") as caught:
                training.fit(**given, class_weight={0: 1.0, 1: 2.0})
            assert "sample_weight=" in caught.value.hint
        with pytest.raises(UsageError, match="no run before the first fit"):
            _ = training.run
        training.fit(X, Y, batch_size=10, verbose=0)
        made.compile("sgd", "binary_crossentropy")
        with pytest.raises(UsageError, match="compiled again"):
            training.fit(X, Y)
    with pytest.raises(UsageError, match="not compiled"), Training(tmp_path / "t", keras.Sequential()) as training:
        training.fit(X, Y)
    with pytest.raises(UsageError, match="name of ours"):
        Training(tmp_path / "t", made, {"model": 1})


def test_it_is_done_once(tmp_path: Path) -> None:
    attempt(tmp_path / "s", Leave(), DATA["arrays"](), 1)
    with pytest.raises(SystemExit) as end:
        attempt(tmp_path / "s", Leave(), DATA["arrays"](), 1)
    assert end.value.code == 0
