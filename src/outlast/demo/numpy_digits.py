"""The same task without PyTorch: a two-layer network in NumPy with momentum and dropout."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

import outlast

Array = NDArray[Any]
_RATE, _MOMENTUM, _DROP = 0.1, 0.9, 0.2


def train(store: str, *, epochs: int, batch: int, every: int) -> float:
    """Train, and return the share of digits that are read correctly."""
    digits = load_digits()
    images, labels = digits.data / 16.0, digits.target
    rng = np.random.default_rng(7)
    weights = {"w1": rng.normal(0, 0.15, (64, 128)), "w2": rng.normal(0, 0.1, (128, 10))}
    speed = {name: np.zeros_like(w) for name, w in weights.items()}
    state = {"weights": weights, "speed": speed, "rng": rng}
    with outlast.Run(store, state, every=every) as run:
        for epoch in run.range(epochs, "epoch"):
            order = np.random.default_rng([7, epoch]).permutation(len(images))  # the same when resumed
            for first in run.iterate(range(0, len(images), batch), "batch"):
                chosen = order[first : first + batch]
                loss = _step(weights, speed, rng, images[chosen], labels[chosen])
                run.log(loss=loss)
        accuracy = float((_scores(weights, images).argmax(1) == labels).mean())
        run.log(accuracy=accuracy)
    return accuracy


def _scores(weights: dict[str, Array], x: Array) -> Array:
    scores: Array = np.maximum(x @ weights["w1"], 0) @ weights["w2"]
    return scores


def _step(weights: dict[str, Array], speed: dict[str, Array], rng: np.random.Generator, x: Array, y: Array) -> float:
    """One step of gradient descent on the cross entropy. Returns the loss."""
    hidden = np.maximum(x @ weights["w1"], 0)
    kept = (rng.random(hidden.shape) >= _DROP) / (1 - _DROP)
    active = hidden * kept
    scores = active @ weights["w2"]
    scores -= scores.max(1, keepdims=True)
    shares = np.exp(scores)
    shares /= shares.sum(1, keepdims=True)
    loss = float(-np.log(shares[np.arange(len(y)), y]).mean())
    error = shares
    error[np.arange(len(y)), y] -= 1
    error /= len(y)
    gradients = {"w2": active.T @ error, "w1": x.T @ ((error @ weights["w2"].T) * kept * (hidden > 0))}
    for name, gradient in gradients.items():
        speed[name] *= _MOMENTUM
        speed[name] -= _RATE * gradient
        weights[name] += speed[name]
    return loss
