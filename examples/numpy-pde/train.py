"""A reaction and diffusion of two substances (Gray-Scott), stirred by noise."""

import os

import numpy as np

import outlast

rng = np.random.default_rng(11)
u, v = np.ones((128, 128)), np.zeros((128, 128))
u[50:70, 50:70], v[50:70, 50:70] = 0.5, 0.25


def laplacian(a: np.ndarray) -> np.ndarray:
    return np.roll(a, 1, 0) + np.roll(a, -1, 0) + np.roll(a, 1, 1) + np.roll(a, -1, 1) - 4 * a


state = {"u": u, "v": v, "rng": rng, "t": 0.0, "mass": []}
with outlast.Run(os.environ.get("OUTLAST_STORE", "ckpts/pde"), state) as run:
    for step in run.steps(200):
        reaction = u * v * v
        u += 0.16 * laplacian(u) - reaction + 0.035 * (1 - u)
        v += 0.08 * laplacian(v) + reaction - 0.1 * v + 1e-4 * rng.random(v.shape)
        state["t"] += 1.0
        if step % 10 == 0:
            state["mass"].append(float(v.sum()))
    print("t:", state["t"], "mass:", state["mass"][-1])
