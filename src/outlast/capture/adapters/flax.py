"""Flax NNX: modules, optimizers, metrics and streams of random keys, refilled in place.

Linen and Optax need nothing here: their states are trees of arrays, which the adapter for JAX takes.
"""

from __future__ import annotations

from typing import Any

from flax import nnx

from outlast.capture.adapter import Adapter, Fixed

_PYTREE = getattr(nnx, "Pytree", None) or nnx.Object


class GraphAdapter(Adapter):
    """What NNX calls a graph node: the variables in it, by their paths. A shared one is saved once."""

    name = "flax.nnx"
    types = (_PYTREE,)
    exact_keys = True
    in_place = True
    same_class = True

    def lower(self, value: Any) -> Any:
        return {path: variable.get_value() for path, variable in _variables(value).items()}

    def restore(self, value: Any, saved: Any) -> Any:
        for path, variable in _variables(value).items():
            variable.set_value(saved[path])
        return value


def _variables(node: Any) -> dict[str, Any]:
    """Return the live variables of a graph: a shared one at the first of its places."""
    found: dict[str, Any] = {}
    seen: set[int] = set()
    for path, variable in nnx.iter_graph(node):
        if isinstance(variable, nnx.Variable) and id(variable) not in seen:
            seen.add(id(variable))
            found["/".join(map(str, path))] = variable
    return found


class VariableAdapter(Adapter):
    """`nnx.Variable`, by itself."""

    name = "flax.nnx.variable"
    types = (nnx.Variable,)
    in_place = True
    same_class = True

    def lower(self, value: Any) -> Any:
        return {"value": value.get_value()}

    def restore(self, value: Any, saved: Any) -> Any:
        value.set_value(saved["value"])
        return value


class TransformedAdapter(Adapter):
    """`nnx.jit` of a function is part of the program."""

    name = "flax.nnx.jit"
    types = (type(nnx.jit(lambda: None)),)

    def lower(self, value: Any) -> Any:
        inner = value.fun if hasattr(value, "fun") else value
        return Fixed(f"nnx.jit({getattr(inner, '__module__', '')}:{getattr(inner, '__qualname__', '')})")

    def restore(self, value: Any, saved: Any) -> Any:  # noqa: ARG002
        return value


ADAPTERS = (GraphAdapter(), VariableAdapter(), TransformedAdapter())
