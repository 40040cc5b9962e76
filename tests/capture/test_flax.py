"""Flax NNX and Optax: modules are refilled in place, states of optimizers are trees like others."""

from __future__ import annotations

import numpy as np
import pytest

from capture.kit import Saved, roundtrip
from outlast import capture
from outlast.errors import MismatchError

pytest.importorskip("flax", reason="Flax is not installed here: pip install flax")
optax = pytest.importorskip("optax", reason="Optax is not installed here: pip install optax")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
from flax import nnx  # noqa: E402

pytestmark = pytest.mark.jax


class Net(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = nnx.Linear(3, 4, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.blocks = nnx.List([nnx.Linear(4, 4, rngs=rngs) for _ in range(2)])
        self.tied = self.first.kernel

    def __call__(self, x):
        x = self.drop(self.norm(self.first(x)))
        for block in self.blocks:
            x = block(x)
        return x @ self.tied.T


def began(seed: int) -> dict:
    model = Net(nnx.Rngs(seed, dropout=seed + 1))
    return {
        "model": model,
        "optimizer": nnx.Optimizer(model, optax.adamw(1e-2), wrt=nnx.Param),
        "metrics": nnx.MultiMetric(loss=nnx.metrics.Average("loss")),
        "rngs": nnx.Rngs(seed),
    }


@nnx.jit
def train(model, optimizer, metrics, x):
    def loss_of(model):
        return ((model(x) - x) ** 2).mean()

    loss, grads = nnx.value_and_grad(loss_of)(model)
    optimizer.update(model, grads)
    metrics.update(loss=loss)
    return loss


def learn(state: dict, steps: int) -> list[str]:
    seen = []
    for _ in range(steps):
        x = jax.random.normal(state["rngs"](), (8, 3))
        seen.append(float(train(state["model"], state["optimizer"], state["metrics"], x)).hex())
    return [*seen, float(state["metrics"].compute()["loss"]).hex()]


@pytest.fixture(autouse=True)
def adapters():
    capture.snapshots.KINDS.refresh()


def test_a_training_goes_on_where_it_was() -> None:
    undisturbed = learn(began(1), 8)
    first, second = began(1), began(7)
    outline = capture.outline(first)
    learn(first, 3)
    saved = Saved(first, outline)
    kernel = second["model"].first.kernel
    saved.into(second)
    assert second["model"].first.kernel is kernel is second["model"].tied
    assert learn(second, 5) == undisturbed[3:]


def test_each_variable_is_saved_once_and_by_its_path() -> None:
    taken = capture.snapshot({"m": began(1)["model"]}, capture.Pool())
    paths = [leaf.path for leaf in taken.leaves]
    assert len(paths) == len(set(paths)) == 12
    assert any(path.startswith("m/") and "kernel" in path for path in paths)


def test_another_network_is_a_mismatch() -> None:
    class Other(nnx.Module):
        def __init__(self) -> None:
            self.first = nnx.Linear(3, 5, rngs=nnx.Rngs(0))

    with pytest.raises(MismatchError, match="m/first"):
        roundtrip({"m": nnx.Dict(first=nnx.Linear(3, 4, rngs=nnx.Rngs(0)))}, {"m": nnx.Dict(first=Other().first)})
    with pytest.raises(MismatchError, match="Net"):
        roundtrip({"m": began(1)["model"]}, {"m": Other()})


def test_a_variable_by_itself_is_refilled() -> None:
    live = {"v": nnx.Param(jnp.zeros(3))}
    held = live["v"]
    roundtrip({"v": nnx.Param(jnp.arange(3.0))}, live)
    assert live["v"] is held
    assert held.get_value().tolist() == [0, 1, 2]


def test_a_jitted_function_is_part_of_the_program() -> None:
    live = roundtrip({"f": {"train": train}}, {"f": {"train": train}})
    assert live["f"]["train"] is train
    with pytest.raises(MismatchError, match="learn"):
        Saved({"f": {"train": train}}).into({"f": {"train": nnx.jit(learn)}})


def bits(array) -> bytes:
    is_key = jnp.issubdtype(array.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(array) if is_key else array).tobytes()


OPTIMIZERS = {
    "sgd": lambda: optax.sgd(1e-2, momentum=0.9, nesterov=True),
    "adamw, clipped": lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-2)),
    "schedule": lambda: optax.adam(optax.warmup_cosine_decay_schedule(0.0, 1e-2, 3, 9)),
    "hyperparameters": lambda: optax.inject_hyperparams(optax.rmsprop)(learning_rate=1e-2),
    "several steps": lambda: optax.MultiSteps(optax.lamb(1e-2), every_k_schedule=2),
    "masked": lambda: optax.masked(optax.adafactor(1e-2), {"w": True, "b": False}),
    "by label": lambda: optax.multi_transform(
        {"fast": optax.lion(1e-2), "slow": optax.adagrad(1e-3)}, {"w": "fast", "b": "slow"}
    ),
    "average": lambda: optax.chain(optax.adam(1e-2), optax.ema(0.9)),
    "noise": lambda: optax.chain(optax.add_noise(0.1, 0.5, 3), optax.sgd(1e-2)),
    "reduce on plateau": lambda: optax.chain(optax.adam(1e-2), optax.contrib.reduce_on_plateau(patience=2)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_of_optax_go_on_where_they_were(name: str) -> None:
    transform = OPTIMIZERS[name]()

    def new() -> dict:
        params = {"w": jnp.ones((3, 2)), "b": jnp.zeros(2)}
        return {"params": params, "opt": transform.init(params)}

    def learn(state: dict, steps: range) -> None:
        for step in steps:
            grads = jax.tree.map(lambda p, by=step + 1: p * by + 0.1, state["params"])
            more = {"value": jnp.float32(1.0)} if name == "reduce on plateau" else {}
            updates, state["opt"] = transform.update(grads, state["opt"], state["params"], **more)
            state["params"] = optax.apply_updates(state["params"], updates)

    undisturbed, first, second = new(), new(), new()
    learn(undisturbed, range(7))
    outline = capture.outline(first)
    learn(first, range(3))
    Saved(first, outline).into(second)
    assert jax.tree.structure(second) == jax.tree.structure(first)
    learn(second, range(3, 7))
    assert list(map(bits, jax.tree.leaves(second))) == list(map(bits, jax.tree.leaves(undisturbed)))
