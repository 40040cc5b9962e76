"""The Ising model by Metropolis: spins, energy and magnetisation over sweeps at falling temperatures."""

import os

import numpy as np

import outlast

rng = np.random.default_rng(2)
spins = rng.choice(np.array([-1, 1], np.int8), (64, 64))
colour = (np.indices(spins.shape).sum(0) % 2).astype(bool)  # neighbours never change at once
temperatures = np.linspace(3.0, 1.5, 8)


def sweep(spins: np.ndarray, beta: float) -> None:
    for chosen in (colour, ~colour):
        field = sum(np.roll(spins, shift, axis) for shift in (1, -1) for axis in (0, 1))
        accepted = rng.random(spins.shape) < np.exp(-2 * beta * spins * field)
        spins[chosen & accepted] *= -1


state = {"spins": spins, "rng": rng, "sum": np.zeros(8), "square": np.zeros(8)}
with outlast.Run(os.environ.get("OUTLAST_STORE", "ckpts/ising"), state) as run:
    for at in run.range(len(temperatures), "temperature"):
        for _ in run.range(25, "sweep"):
            sweep(spins, 1 / temperatures[at])
            magnetisation = abs(float(spins.mean()))
            state["sum"][at] += magnetisation
            state["square"][at] += magnetisation**2
    print("magnetisation:", np.round(state["sum"] / 25, 3))
