"""What the adapters add to a training step when nothing is due: `make steps`.

Two runs of a training differ by more than what is looked for, so it is measured within one: the time in which the loop
waits for its next batch (our boundary is in that), less the time that the framework's own loader takes of it; of
Keras, which asks for batches in another way, the time of our callbacks. The steps are those of the examples: small
networks on small data, where a microsecond weighs most, for little of our code is in the processor's cache when it is
called. What begins and ends a run is left out, and the first epoch; what begins each later one is counted.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import outlast

ROOT = Path(__file__).parents[1]
EVERY = "1h"
EPOCHS = 20


class Watch:
    """A stopwatch that is told of each step, and of the parts of it that are ours.

    Args:
        per_epoch: steps of an epoch.
    """

    def __init__(self, per_epoch: int) -> None:
        self._per_epoch = per_epoch
        self._ends_s: list[float] = []
        self._ours_s: list[float] = []
        self._step_s = 0.0
        self._is_asked = False

    def tick(self) -> None:
        """A step is complete."""
        self._ends_s.append(time.perf_counter())
        self._ours_s.append(self._step_s)
        self._step_s = 0.0

    def ours(self, asked: Iterable[Any]) -> Iterator[Any]:
        """Pass on what a loop asks for; the time until it comes is ours."""
        items = iter(asked)
        while True:
            begun_s, self._is_asked = time.perf_counter(), True
            try:
                item = next(items)
            except StopIteration:
                return
            finally:
                self._step_s += time.perf_counter() - begun_s
                self._is_asked = False
            yield item

    def timed(self, function: Callable[..., Any], sign: int) -> Callable[..., Any]:
        """Return a function whose time is ours (1), or not ours though a loop that asks waits for it (-1)."""

        def call(*args: Any, **others: Any) -> Any:
            begun_s, counts = time.perf_counter(), sign > 0 or self._is_asked
            was_asked, self._is_asked = self._is_asked, False  # what is called within is counted with it
            try:
                return function(*args, **others)
            finally:
                self._step_s += counts * sign * (time.perf_counter() - begun_s)
                self._is_asked = was_asked

        return call

    @property
    def found(self) -> Found:
        """Seconds of a step, and those of it that are ours: of an epoch's, the median of all but the first."""
        size = self._per_epoch
        assert len(self._ends_s) >= 2 * size, "more than an epoch is needed"
        ends_s = self._ends_s[size - 1 :: size]
        whole = [after - before for before, after in itertools.pairwise(ends_s)]
        ours = [sum(self._ours_s[at : at + size]) for at in range(size, len(self._ours_s) - size + 1, size)]
        return statistics.median(whole) / size, statistics.median(ours) / size


Found = tuple[float, float]


@contextmanager
def patched(held: Any, name: str, wrap: Callable[[Any], Any]) -> Iterator[None]:
    before = getattr(held, name)
    setattr(held, name, wrap(before))
    try:
        yield
    finally:
        setattr(held, name, before)


@contextmanager
def loaders(watch: Watch) -> Iterator[None]:
    """Take the time of PyTorch's own loaders away from what is ours."""
    from torch.utils.data import dataloader

    with ExitStack() as stack:
        parts = [(dataloader._BaseDataLoaderIter, "__next__")]  # noqa: SLF001
        several = dataloader._MultiProcessingDataLoaderIter  # noqa: SLF001
        parts += [(several, name) for name in ("__init__", "_shutdown_workers")]
        for cls, name in parts:
            stack.enter_context(patched(cls, name, lambda own: watch.timed(own, -1)))
        yield


def asked(watch: Watch) -> Callable[[Any], Any]:
    """Wrap the `__iter__` of the data that a trainer is given."""
    return lambda own: lambda data: watch.ours(own(data))


def example(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"example_{name}", ROOT / "examples" / name / "train.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def digits() -> tuple[Any, Any]:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return (pixels / 16).astype("float32"), labels


def pytorch(store: str, workers: int = 0, width: int = 0) -> Found:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    pixels, labels = digits()
    images = torch.tensor(pixels).reshape(-1, 1, 8, 8)
    loader = DataLoader(TensorDataset(images, torch.tensor(labels)), batch_size=64, shuffle=True, num_workers=workers)
    if width:
        blocks = [(nn.Conv2d(a, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()) for a in (1, width, width)]
        layers = [layer for block in blocks for layer in block] + [nn.Flatten(), nn.Linear(64 * width, 10)]
    else:
        layers = [nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(576, 10)]
    model = nn.Sequential(*layers)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    watch = Watch(len(loader))
    state = {"model": model, "optimizer": optimizer, "rng": outlast.RNG()}
    with loaders(watch), outlast.Run(store, state, every=EVERY) as run:
        for _ in run.range(5 if width else EPOCHS, "epoch"):
            for x, y in watch.ours(run.iterate(loader, "batch")):
                loss = nn.functional.cross_entropy(model(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                watch.tick()
    return watch.found


def pytorch_workers(store: str) -> Found:
    return pytorch(store, workers=2)


def pytorch_wide(store: str) -> Found:
    return pytorch(store, width=64)


def lightning(store: str) -> Found:
    import lightning as L  # noqa: N812

    from outlast.integrations import lightning as front

    module = example("lightning")
    watch = Watch(75)

    class Ticks(L.Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            watch.tick()

    training = module.trainer(EPOCHS, (Ticks(),))
    data = front._Data  # noqa: SLF001
    with loaders(watch), patched(data, "__iter__", asked(watch)), front.FitRun(training, store, every=EVERY):
        training.fit(module.Net(), *module.loaders(count=1200))
    return watch.found


def transformers(store: str) -> Found:
    from transformers import TrainerCallback

    from outlast.integrations import transformers as front

    module = example("transformers")
    training = module.trainer(epochs=EPOCHS, letters=12000)
    training.args.gradient_accumulation_steps = 1
    training.args.eval_strategy = "no"
    watch = Watch(len(training.get_train_dataloader()))

    class Ticks(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            watch.tick()

    training.add_callback(Ticks())
    data = front._Data  # noqa: SLF001
    with loaders(watch), patched(data, "__iter__", asked(watch)), front.TrainerRun(training, store, every=EVERY):
        training.train()
    return watch.found


def accelerate(store: str) -> Found:
    module = example("accelerate")
    watch = Watch(75)

    def timed(own: Any) -> Any:
        return lambda run, *args: watch.ours(own(run, *args))

    with loaders(watch), patched(module.AcceleratedRun, "iterate", timed):
        module.main(store, epochs=EPOCHS, count=1200, each=watch.tick, every=EVERY)
    return watch.found


def keras(store: str) -> Found:
    import keras as k

    from outlast.integrations import keras_callbacks
    from outlast.integrations.keras import Training

    x, y = digits()
    layers = [k.Input((64,)), k.layers.Dense(64, activation="relu"), k.layers.Dropout(0.3), k.layers.Dense(10)]
    model = k.Sequential(layers)
    loss = k.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(k.optimizers.Adam(1e-2), loss, jit_compile=False)
    watch = Watch(57)
    ticks = k.callbacks.LambdaCallback(on_train_batch_begin=lambda *_, **__: watch.tick())
    with ExitStack() as stack:
        for cls in (keras_callbacks.Begin, keras_callbacks.End):
            for name in [name for name in vars(cls) if name.startswith("on_")]:
                stack.enter_context(patched(cls, name, lambda own: watch.timed(own, 1)))
        training = stack.enter_context(Training(store, model, every=EVERY))
        training.fit(x, y, epochs=EPOCHS, batch_size=32, verbose=0, callbacks=[ticks])
    return watch.found


def tensorflow(store: str) -> Found:
    import tensorflow as tf

    x, y = digits()
    weights = [tf.Variable(tf.random.stateless_normal((64, 10), seed=(1, 2))), tf.Variable(tf.zeros(10))]
    batches = iter(tf.data.Dataset.from_tensor_slices((x, y)).shuffle(500, seed=3).repeat().batch(100))

    @tf.function
    def train(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = x @ weights[0] + weights[1]
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
        for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
            weight.assign_sub(0.1 * gradient)
        return loss

    watch = Watch(100)
    state = {"weights": weights, "data": tf.train.Checkpoint(iterator=batches)}
    with outlast.Run(store, state, every=EVERY) as run:
        for _ in watch.ours(run.range(100 * EPOCHS, "step")):
            float(train(*next(batches)))
            watch.tick()
    return watch.found


def jax(store: str) -> Found:
    import jax as j
    import numpy as np
    import optax

    x, y = digits()
    optimizer = optax.adamw(1e-2)
    weights = {"w": j.numpy.zeros((64, 10)), "b": j.numpy.zeros(10)}

    @j.jit
    def train(weights: Any, moments: Any, x: Any, y: Any) -> Any:
        def loss_of(weights: Any) -> Any:
            logits = x @ weights["w"] + weights["b"]
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

        loss, gradients = j.value_and_grad(loss_of)(weights)
        changes, moments = optimizer.update(gradients, moments, weights)
        return optax.apply_updates(weights, changes), moments, loss

    state = {"weights": weights, "moments": optimizer.init(weights), "loss": j.numpy.float32(0)}
    rng = np.random.default_rng(1)
    watch = Watch(28)
    with outlast.Run(store, {"all": state, "rng": rng}, every=EVERY) as run:
        for _ in run.range(EPOCHS, "epoch"):
            for batch in watch.ours(run.iterate(np.split(rng.permutation(1792), 28), "batch")):
                state["weights"], state["moments"], loss = train(state["weights"], state["moments"], x[batch], y[batch])
                state["loss"] = loss
                loss.block_until_ready()
                watch.tick()
    return watch.found


def sklearn(store: str) -> Found:
    import numpy as np
    from sklearn.linear_model import SGDClassifier

    x, y = digits()
    classifier = SGDClassifier(loss="log_loss", random_state=1)
    rng, classes = np.random.default_rng(1), np.arange(10)
    watch = Watch(28)
    with outlast.Run(store, {"classifier": classifier, "rng": rng}, every=EVERY) as run:
        for _ in run.range(EPOCHS, "epoch"):
            for batch in watch.ours(run.iterate(np.split(rng.permutation(1792), 28), "batch")):
                classifier.partial_fit(x[batch], y[batch], classes=classes)
                watch.tick()
    return watch.found


TRAININGS: dict[str, tuple[str, Callable[[str], Found]]] = {
    "pytorch": ("PyTorch, `run.iterate` over a loader", pytorch),
    "pytorch-workers": ("PyTorch, the same with 2 workers", pytorch_workers),
    "pytorch-wide": ("PyTorch, three convolutions of 64 channels", pytorch_wide),
    "lightning": ("Lightning, `FitRun`", lightning),
    "transformers": ("Transformers, `TrainerRun`", transformers),
    "accelerate": ("Accelerate, `AcceleratedRun`", accelerate),
    "keras": ("Keras, `Training.fit`", keras),
    "tensorflow": ("TensorFlow, a loop of one's own", tensorflow),
    "jax": ("JAX, a loop of one's own", jax),
    "sklearn": ("scikit-learn, `partial_fit`", sklearn),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(TRAININGS)}")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(TRAININGS[asked.names[0]][1](f"{folder}/store")))
        return
    print("| training | its step | outlast in it | of it |\n|---|---|---|---|")
    for name in asked.names or TRAININGS:
        command = [sys.executable, "-m", "bench.steps", "--one", name]
        told = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True, cwd=ROOT
        )
        step_s, ours_s = json.loads(told.stdout.splitlines()[-1])
        print(
            f"| {TRAININGS[name][0]} | {step_s * 1e3:.2f} ms | {ours_s * 1e6:.0f} µs | {ours_s / step_s:.1%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
