"""A costly fit by scipy.optimize: what was evaluated in an attempt before is not evaluated again."""

import os

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import minimize

import outlast
from outlast.integrations.scipy import Evaluations

times = np.linspace(0, 10, 40)


def populations(rates: np.ndarray) -> np.ndarray:
    def change(_t: float, y: np.ndarray) -> list:
        return [y[0] * (rates[0] - rates[1] * y[1]), y[1] * (rates[2] * y[0] - rates[3])]

    return solve_ivp(change, (0, 10), [10, 5], t_eval=times, rtol=1e-8).y


measured = populations(np.array([1.1, 0.4, 0.1, 0.4])) + np.random.default_rng(1).normal(0, 0.1, (2, 40))


def misfit(rates: np.ndarray) -> float:
    return float(np.sum((populations(np.abs(rates)) - measured) ** 2))


evaluations = Evaluations()
state = {"evaluations": evaluations, "found": None}
with outlast.Run(os.environ.get("OUTLAST_STORE", "ckpts/optimize"), state) as run:
    found = minimize(evaluations.of(run, misfit), [1.0, 0.5, 0.15, 0.5], method="Nelder-Mead", options={"maxfev": 150})
    state["found"] = found.x
    print("rates:", found.x, "misfit:", found.fun)
