"""Keras 3, with whatever backend: models and layers, optimizers, metrics, seed generators, variables.

Each becomes its variables by their paths, as arrays of the backend; restoring assigns to the live variables. So they
must be built before: what a restore met unbuilt would go on with variables of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras

from outlast.capture.adapter import Adapter, GlobalRng, Refused

_BACKEND = keras.backend.backend()
_GLOBAL_SEEDS = "global_seed_generator"


def _value(variable: Any) -> Any:
    """Return a variable's values: the live array itself, but for TensorFlow, of which there is only a copy."""
    value = variable.value
    return value.numpy() if _BACKEND == "tensorflow" else value


def _lowered(variables: Iterable[Any]) -> dict[str, Any]:
    """Return values by path; of several variables with one path the later ones are numbered."""
    return {path: _value(variable) for path, variable in _by_path(variables).items()}


def _by_path(variables: Iterable[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for variable in variables:
        path, number = variable.path, 1
        while path in found:
            number += 1
            path = f"{variable.path}#{number}"
        found[path] = variable
    return found


def _assign(variables: Iterable[Any], saved: dict[str, Any]) -> None:
    for path, variable in _by_path(variables).items():
        if saved[path] is not variable.value:  # PyTorch's were filled in place
            variable.assign(saved[path])


class _Variables(Adapter):
    """An object that is what its `variables` hold."""

    exact_keys = True
    in_place = True

    def lower(self, value: Any) -> Any:
        return _lowered(self._variables(value))

    def restore(self, value: Any, saved: Any) -> Any:
        _assign(self._variables(value), saved)
        return value

    def _variables(self, value: Any) -> list[Any]:
        return list(value.variables)


class LayerAdapter(_Variables):
    """`keras.Layer`, and so `keras.Model`: weights, statistics, and the seeds of dropout and its like.

    Not the metrics that a model was compiled with: they are of a pass over the data, not of the model.
    """

    name = "keras.layer"
    types = (keras.Layer,)

    def lower(self, value: Any) -> Any:
        unbuilt = [layer.name for layer in value._flatten_layers() if not layer.built]  # noqa: SLF001  (Keras asks so)
        if unbuilt:
            what = f"is not built ({', '.join(unbuilt[:3])}): its variables do not exist yet"
            raise Refused(what, "build it before the run: model.build(input_shape), or call it once")
        sync = getattr(value, "jax_state_sync", None)
        if sync is not None:  # inside of `fit` JAX's arrays are elsewhere, and those here given away
            sync()
        return super().lower(value)


class OptimizerAdapter(_Variables):
    """`keras.Optimizer`: steps, learning rate, moments, averages."""

    name = "keras.optimizer"
    types = (keras.Optimizer,)
    same_class = True

    def lower(self, value: Any) -> Any:
        if not value.built:
            what = "is not built: its slots do not exist yet"
            raise Refused(what, "build it before the run: optimizer.build(model.trainable_variables)")
        return super().lower(value)


class MetricAdapter(_Variables):
    """`keras.Metric`."""

    name = "keras.metric"
    types = (keras.Metric,)
    same_class = True


class SeedGeneratorAdapter(_Variables):
    """`keras.random.SeedGenerator`."""

    name = "keras.seed_generator"
    types = (keras.random.SeedGenerator,)
    restored_last = True

    def lower(self, value: Any) -> Any:
        return {"state": _value(value.state)}

    def restore(self, value: Any, saved: Any) -> Any:
        if saved["state"] is not value.state.value:
            value.state.assign(saved["state"])
        return value


class VariableAdapter(Adapter):
    """`keras.Variable`, by itself."""

    name = "keras.variable"
    types = (keras.Variable,)
    in_place = True

    def lower(self, value: Any) -> Any:
        return {"value": _value(value)}

    def restore(self, value: Any, saved: Any) -> Any:
        if saved["value"] is not value.value:
            value.assign(saved["value"])
        return value


class KerasRng(GlobalRng):
    """The generator that `keras.random` draws from where it is given no seed; made when it is first used."""

    name = "keras"

    def capture(self) -> Any:
        found = _global_seeds(make=False)
        return {} if found is None else {"state": _value(found.state)}

    def restore(self, saved: Any) -> None:
        if saved:
            _global_seeds(make=True).state.assign(saved["state"])


def _global_seeds(*, make: bool) -> Any:
    from keras.src.backend.common import global_state
    from keras.src.random import seed_generator

    if make:
        return seed_generator.global_seed_generator()
    return global_state.get_global_attribute(_GLOBAL_SEEDS)


ADAPTERS = (
    LayerAdapter(),
    OptimizerAdapter(),
    MetricAdapter(),
    SeedGeneratorAdapter(),
    VariableAdapter(),
    KerasRng(),
)
