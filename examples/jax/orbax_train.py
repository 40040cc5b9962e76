"""A training that Orbax saves: when, decides outlast, and a notice ends it with status 85."""

import os

import jax
import jax.numpy as jnp
import optax
import orbax.checkpoint as ocp
from sklearn.datasets import load_digits

from outlast.integrations.orbax import Interval

x, y = load_digits(return_X_y=True)
x, y = jnp.asarray(x[:1500] / 16), jnp.asarray(y[:1500])
transform = optax.adam(1e-2)


@jax.jit
def train(params: dict, opt: optax.OptState, key: jax.Array) -> tuple:
    def loss_of(params: dict) -> jax.Array:
        batch = jax.random.choice(key, 1500, (100,))
        logits = jnp.tanh(x[batch] @ params["w"]) @ params["out"]
        return optax.softmax_cross_entropy_with_integer_labels(logits, y[batch]).mean()

    loss, gradients = jax.value_and_grad(loss_of)(params)
    updates, opt = transform.update(gradients, opt, params)
    return optax.apply_updates(params, updates), opt, loss


params = {"w": jax.random.normal(jax.random.key(1), (64, 32)) / 8, "out": jnp.zeros((32, 10))}
state = {"params": params, "opt": transform.init(params)}
folder = os.path.abspath(os.environ.get("OUTLAST_STORE", "ckpts/orbax"))
with Interval("auto") as interval:
    options = ocp.CheckpointManagerOptions(max_to_keep=3, save_decision_policy=interval)
    with ocp.CheckpointManager(folder, options=options) as manager:
        done = manager.latest_step() or 0
        if done:
            state = manager.restore(done, args=ocp.args.StandardRestore(state))
        for step in range(done, 60):
            key = jax.random.fold_in(jax.random.key(2), step)
            state["params"], state["opt"], loss = train(state["params"], state["opt"], key)
            manager.save(step + 1, args=ocp.args.StandardSave(state))
            interval.boundary(manager)
        if manager.latest_step() != 60:  # an interval does not know which step is the last
            manager.save(60, args=ocp.args.StandardSave(state), force=True)
        print("sum of weights:", sum(float(leaf.sum()) for leaf in jax.tree.leaves(state["params"])))
