"""A stiff oscillator by scipy.integrate: the solver is stepped by hand, and is part of the state."""

import os

import numpy as np
from scipy.integrate import Radau

import outlast


def oscillator(_t: float, y: np.ndarray) -> np.ndarray:
    return np.array([y[1], 100 * (1 - y[0] ** 2) * y[1] - y[0]])


solver = Radau(oscillator, 0.0, np.array([2.0, 0.0]), 200.0, rtol=1e-4)
state = {"solver": solver, "times": [], "values": []}
with outlast.Run(os.environ.get("OUTLAST_STORE", "ckpts/ode"), state) as run:
    while solver.status == "running":
        solver.step()
        state["times"].append(float(solver.t))
        state["values"].append(float(solver.y[0]))
        if run.due():
            run.save()
    print("steps:", len(state["times"]), "y:", state["values"][-1])
