"""A JAX training for the tests: `jax_program.py STORE HOLD`. Prints the loss of each step, to the bit."""

import sys
from itertools import count
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from holding import hold

import outlast

STEPS = 40


class Adam(NamedTuple):
    count: Any
    mu: Any
    nu: Any


def predict(params, x, key):
    hidden = jnp.tanh(x @ params["w"] + params["b"])
    kept = jax.random.bernoulli(key, 0.8, hidden.shape)
    return (hidden * kept) @ params["out"]


def loss_of(params, key):
    x_key, drop_key = jax.random.split(key)
    x = jax.random.normal(x_key, (16, 8))
    return jnp.mean((predict(params, x, drop_key) - x.sum(1, keepdims=True)) ** 2)


@jax.jit
def gradients(params, key):
    return jax.value_and_grad(loss_of)(params, key)


def updated(params, adam, grads):
    count = adam.count + 1
    mu = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, adam.mu, grads)
    nu = jax.tree.map(lambda n, g: 0.99 * n + 0.01 * g * g, adam.nu, grads)
    scale = jnp.sqrt(1 - 0.99**count) / (1 - 0.9**count)
    return jax.tree.map(lambda p, m, n: p - 0.05 * scale * m / (jnp.sqrt(n) + 1e-8), params, mu, nu), Adam(
        count, mu, nu
    )


update = jax.jit(updated, donate_argnums=(0, 1))  # the old ones' memory is given away at each step, as in real programs


def began():
    w, b, out = jnp.full((8, 8), 0.1), jnp.zeros(8), jnp.ones((8, 1))
    params = {"w": w, "b": b, "out": out}
    adam = Adam(jnp.int32(0), jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params))
    return {"params": params, "opt": (adam,), "key": jax.random.key(3), "losses": jnp.zeros(0)}


state, printed = began(), count(1)
with outlast.Run(sys.argv[1], state, every=3) as run:
    for step in run.steps(STEPS):
        state["key"], key = jax.random.split(state["key"])
        loss, grads = gradients(state["params"], key)
        state["params"], adam = update(state["params"], state["opt"][0], grads)
        state["opt"] = (adam,)
        state["losses"] = jnp.append(state["losses"], loss)
        print(step, float(loss).hex(), flush=True)
        hold(sys.argv[2], next(printed))
