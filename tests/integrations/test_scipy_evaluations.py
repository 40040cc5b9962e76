"""Optimisers of SciPy go the same way again over what is remembered, and on from there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import outlast
from outlast.errors import MismatchError, Preempted
from outlast.integrations.scipy import Evaluations

pytest.importorskip("scipy", reason="SciPy is not installed here: pip install scipy")

from scipy import optimize

START = np.array([1.3, 0.7, 0.8])


def with_gradient(x):
    return optimize.rosen(x), optimize.rosen_der(x)


def residuals(x):
    return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0], x[2] - 1])


WAYS = {
    "nelder-mead": (optimize.rosen, lambda f: optimize.minimize(f, START, method="Nelder-Mead")),
    "powell": (optimize.rosen, lambda f: optimize.minimize(f, START, method="Powell")),
    "bfgs": (with_gradient, lambda f: optimize.minimize(f, START, jac=True, method="BFGS")),
    "l-bfgs-b": (with_gradient, lambda f: optimize.minimize(f, START, jac=True, method="L-BFGS-B")),
    "least squares": (residuals, lambda f: optimize.least_squares(f, START)),
    "differential evolution": (
        optimize.rosen,
        lambda f: optimize.differential_evolution(f, [(0, 2)] * 3, rng=5, maxiter=5, polish=False),
    ),
}


class Counted:
    """A function that counts, and asks the run to leave."""

    def __init__(self, function) -> None:
        self.function, self.count, self.at, self.leave = function, 0, -1, lambda: None

    def __call__(self, x):
        self.count += 1
        if self.count == self.at:
            self.leave()
        return self.function(x)


def attempt(store: Path, function: Counted, way):
    evaluations = Evaluations()
    with outlast.Run(store, {"evaluations": evaluations}, every=10_000) as run:
        function.leave = run.leave
        return way(evaluations.of(run, function))


@pytest.mark.parametrize("name", WAYS)
def test_nothing_is_evaluated_twice_and_the_way_is_the_same(tmp_path: Path, name: str) -> None:
    function, way = WAYS[name]
    plain = Counted(function)
    expected = way(plain)
    counted = Counted(function)
    for part in (3, 2):
        counted.at = plain.count // part
        with pytest.raises(Preempted):
            attempt(tmp_path / "s", counted, way)
    counted.at = -1
    found = attempt(tmp_path / "s", counted, way)
    assert counted.count == plain.count
    assert found.x.tobytes() == expected.x.tobytes()
    assert (found.nfev, found.status if "status" in found else 0) == (
        expected.nfev,
        expected.status if "status" in expected else 0,
    )


def test_another_way_is_noticed(tmp_path: Path) -> None:
    counted = Counted(optimize.rosen)
    counted.at = 20
    with pytest.raises(Preempted):
        attempt(tmp_path / "s", counted, WAYS["nelder-mead"][1])
    with pytest.raises(MismatchError, match="evaluation 0 is at another place"):
        attempt(tmp_path / "s", counted, lambda f: optimize.minimize(f, START + 1, method="Nelder-Mead"))


def test_other_shapes_are_refused(tmp_path: Path) -> None:
    evaluations = Evaluations()
    with (
        pytest.raises(ValueError, match="expected the same shapes"),
        outlast.Run(tmp_path / "s", {"e": evaluations}) as run,
    ):
        asked = evaluations.of(run, lambda x: x)
        asked(np.zeros(2))
        asked(np.zeros(3))
