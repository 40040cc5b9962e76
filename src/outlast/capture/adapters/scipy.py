"""SciPy: the solvers of `scipy.integrate` that are stepped by hand (`OdeSolver` and its subclasses).

A solver is what its attributes hold, but for the functions: these are the program's. `solve_ivp` and
`scipy.optimize.minimize` keep all to themselves; for these see `outlast.integrations.scipy`.
"""

from __future__ import annotations

import sys
from typing import Any

from outlast.capture.adapter import Adapter, Refused

_INNER = ("_lsoda_solver", "_integrator", "sol")  # objects of their own, in the solver that holds them
_STEPPED = "state_doubles"  # LSODA keeps its past here; before SciPy 1.17 it was out of reach


class SolverAdapter(Adapter):
    """`scipy.integrate.OdeSolver`: RK23, RK45, DOP853, Radau, BDF, LSODA."""

    name = "scipy.ode_solver"
    same_class = True

    def __init__(self, solver: type) -> None:
        self.types = (solver,)

    def lower(self, value: Any) -> Any:
        return _lowered(value)

    def restore(self, value: Any, saved: Any) -> Any:
        _put(value, saved)
        return value


def _lowered(held: Any) -> dict[str, Any]:
    if type(held).__name__ == "lsoda" and not hasattr(held, _STEPPED):
        raise Refused("is an LSODA, whose past this SciPy hides", "take Radau or BDF, or SciPy 1.17 or later")
    found = {name: value for name, value in vars(held).items() if not callable(value) and name not in _INNER}
    inner = {name: _lowered(vars(held)[name]) for name in _INNER if vars(held).get(name) is not None}
    return {"attributes": found, "inner": inner}


def _put(held: Any, saved: dict[str, Any]) -> None:
    gone = [name for name, value in vars(held).items() if not callable(value) and name not in saved["attributes"]]
    for name in gone:
        if name not in _INNER:
            del vars(held)[name]
    vars(held).update(saved["attributes"])
    for name, inner in saved["inner"].items():
        if vars(held).get(name) is None:
            vars(held)[name] = _dense(held)
        _put(vars(held)[name], inner)
    if "sol" in vars(held) and "sol" not in saved["inner"]:
        held.sol = None


def _dense(solver: Any) -> Any:
    """Return an empty one of what Radau foretells its next step with."""
    cls = sys.modules[type(solver).__module__].RadauDenseOutput
    return cls.__new__(cls)


def _adapters() -> tuple[Adapter, ...]:
    import scipy.integrate

    return (SolverAdapter(scipy.integrate.OdeSolver),)


ADAPTERS = _adapters()
