"""SciPy: solvers that are stepped by hand go on from a restore to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from capture.kit import Saved, roundtrip
from outlast import capture
from outlast.errors import CaptureError, MismatchError

pytest.importorskip("scipy", reason="SciPy is not installed here: pip install scipy")

from scipy import integrate, sparse

STEPS = 12
METHODS = ["RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA"]


def van_der_pol(_t: float, y: np.ndarray) -> np.ndarray:
    return np.array([y[1], 50 * (1 - y[0] ** 2) * y[1] - y[0]])


def solver(method: str, **more):
    return getattr(integrate, method)(van_der_pol, 0.0, np.array([2.0, 0.0]), 1.0, rtol=1e-5, **more)


def walked(one, steps: int) -> list[tuple[str, ...]]:
    seen = []
    for _ in range(steps):
        one.step()
        seen.append((float(one.t).hex(), *(float(y).hex() for y in one.y), one.nfev, one.njev, one.nlu))
    return seen


@pytest.fixture(autouse=True)
def adapters():
    capture.snapshots.KINDS.refresh()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("at", [0, 1, 5])
def test_a_solver_goes_on_where_it_was(method: str, at: int) -> None:
    undisturbed = walked(solver(method), STEPS)
    first, second = solver(method), solver(method)
    outline = capture.outline({"solver": first})
    walked(first, at)
    Saved({"solver": first}, outline).into({"solver": second})
    assert walked(second, STEPS - at) == undisturbed[at:]


@pytest.mark.parametrize("method", METHODS)
def test_a_solver_is_put_back_to_where_it_was(method: str) -> None:
    live = solver(method)
    walked(live, 3)
    saved = Saved({"solver": live})
    expected = walked(live, 5)
    saved.into({"solver": live})
    assert walked(live, 5) == expected
    beginning = Saved({"solver": solver(method)})
    beginning.into({"solver": live})
    assert walked(live, STEPS) == walked(solver(method), STEPS)


def test_another_solver_is_a_mismatch() -> None:
    with pytest.raises(MismatchError, match="Radau"):
        roundtrip({"s": solver("RK45")}, {"s": solver("Radau")})


def test_a_sparse_factorisation_cannot_be_kept_and_is_refused() -> None:
    live = solver("BDF", jac_sparsity=sparse.eye_array(2).tocsc())
    walked(live, 3)
    with pytest.raises(CaptureError, match="SuperLU"):
        capture.snapshot({"s": live}, capture.Pool())
