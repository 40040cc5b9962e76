"""scikit-learn: estimators, fitted bit by bit (`partial_fit`, `warm_start`), by their attributes.

Restoring puts attributes into the live estimator, also those that only fitting makes. A few classes of objects that
estimators keep for themselves are made anew then; never one that a file names beyond these.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import sklearn
from sklearn.base import BaseEstimator

from outlast.capture.adapter import Adapter
from outlast.format.model import Node

_MADE = {  # by the modules that those who use them have imported
    "AdamOptimizer": "sklearn.neural_network._stochastic_optimizers",
    "SGDOptimizer": "sklearn.neural_network._stochastic_optimizers",
    "LabelBinarizer": "sklearn.preprocessing._label",
    "LabelEncoder": "sklearn.preprocessing._label",
}
_DERIVED = frozenset({"_loss_function_"})  # a C object, made from the parameters at the beginning of each pass
_GLOBAL = np.random.mtrand._rand  # noqa: SLF001  (random_state=None means this one)


class EstimatorAdapter(Adapter):
    """`BaseEstimator`: parameters and all that fitting has made of it.

    `attributes` are plain; `made` are the objects of known classes, by their attributes; `generators` those of random
    numbers, "global" for the one that all share.
    """

    name = "sklearn.estimator"
    types = (BaseEstimator,)
    same_class = True

    def lower(self, value: Any) -> Any:
        attributes: dict[str, Any] = {}
        made: dict[str, Any] = {}
        generators: dict[str, Any] = {}
        for name, held in vars(value).items():
            if name in _DERIVED:
                continue
            if isinstance(held, np.random.RandomState) and name not in _parameters(value):
                generators[name] = "global" if held is _GLOBAL else held.get_state(legacy=False)
            elif type(held).__module__ == _MADE.get(type(held).__name__) and name not in _parameters(value):
                made[name] = {"class": type(held).__name__, "attributes": dict(vars(held))}
            else:
                attributes[name] = held
        return {"version": _version(), "attributes": attributes, "made": made, "generators": generators}

    def restore(self, value: Any, saved: Any) -> Any:
        held = vars(value)
        before = dict(held)
        held.clear()
        held.update(saved["attributes"])
        for name, one in saved["made"].items():
            held[name] = _made(before.get(name), one)
        for name, state in saved["generators"].items():
            held[name] = _generator(before.get(name), state)
        return value

    def compare(self, value: Any, state: Node) -> str:  # noqa: ARG002
        saved, ours = state["version"], _version()
        if saved != ours:
            return f"saved by scikit-learn {saved}, this is {ours}, which may compute with it differently"
        unknown = sorted({one["class"] for one in state["made"].values()} - _MADE.keys())
        return f"holds objects of unknown classes: {', '.join(unknown)}" if unknown else ""


def _parameters(estimator: Any) -> set[str]:
    return set(estimator._get_param_names())  # noqa: SLF001  (get_params would ask for their values, deep)


def _version() -> str:
    return ".".join(sklearn.__version__.split(".")[:2])


def _made(live: Any, saved: dict[str, Any]) -> Any:
    cls = getattr(sys.modules[_MADE[saved["class"]]], saved["class"])
    held = live if type(live) is cls else cls.__new__(cls)
    vars(held).clear()
    vars(held).update(saved["attributes"])
    return held


def _generator(live: Any, state: Any) -> Any:
    if state == "global":
        return _GLOBAL
    held = live if isinstance(live, np.random.RandomState) and live is not _GLOBAL else np.random.RandomState(0)
    held.set_state(state)
    return held


ADAPTERS = (EstimatorAdapter(),)
