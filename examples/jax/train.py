"""A Flax NNX network learns scikit-learn's digits with Optax: dropout, batch norm, a schedule."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from sklearn.datasets import load_digits

import outlast

x, y = load_digits(return_X_y=True)
x = (x / 16).astype("float32")


class Net(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.hidden = nnx.Linear(64, 64, rngs=rngs)
        self.norm = nnx.BatchNorm(64, rngs=rngs)
        self.drop = nnx.Dropout(0.3, rngs=rngs)
        self.out = nnx.Linear(64, 10, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.out(self.drop(jax.nn.relu(self.norm(self.hidden(x)))))


@nnx.jit
def train(model: Net, optimizer: nnx.Optimizer, x: jax.Array, y: jax.Array) -> jax.Array:
    def loss_of(model: Net) -> jax.Array:
        return optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()

    loss, gradients = nnx.value_and_grad(loss_of)(model)
    optimizer.update(model, gradients)
    return loss


model = Net(nnx.Rngs(7))
rate = optax.warmup_cosine_decay_schedule(0.0, 1e-2, 10, 75)
state = {
    "model": model,
    "optimizer": nnx.Optimizer(model, optax.adamw(rate), wrt=nnx.Param),
    "key": jax.random.key(3),
    "loss": jnp.float32(0),
}
with outlast.Run(os.environ.get("OUTLAST_STORE", "ckpts/jax"), state) as run:
    for epoch in run.range(5, "epoch"):
        state["key"], key = jax.random.split(state["key"])
        order = np.asarray(jax.random.permutation(key, 1500))
        for batch in run.iterate(np.split(order, 15), "batch"):
            state["loss"] = train(model, state["optimizer"], x[batch], y[batch])
    model.eval()
    print("accuracy:", float((model(x[1500:]).argmax(1) == y[1500:]).mean()))
