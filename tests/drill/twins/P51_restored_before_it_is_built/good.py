"""Built first, restored then."""

import os

import numpy as np


class Optimizer:
    def build(self, w):
        self.velocity = np.zeros_like(w)

    def step(self, w, gradient):
        self.velocity = 0.9 * self.velocity - 0.1 * gradient
        w += self.velocity


w, step, optimizer = np.ones(4), 0, Optimizer()
optimizer.build(w)
if os.path.exists("state.npz"):
    with np.load("state.npz") as saved:
        w, step, optimizer.velocity = saved["w"], int(saved["step"]), saved["velocity"]
while step < 12:
    optimizer.step(w, w)
    step += 1
    if step % 3 == 0:
        np.savez("new.npz", w=w, step=step, velocity=optimizer.velocity)
        os.replace("new.npz", "state.npz")
    print(f"step {step} norm={np.linalg.norm(w):.9f}")
np.savetxt("result.txt", w)
