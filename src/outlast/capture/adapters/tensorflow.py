"""TensorFlow: variables, tensors, modules, generators, and `tf.train.Checkpoint` in its own format.

Variables and what is made of them become arrays, by name. What only TensorFlow can serialise (iterators of tf.data,
tables) goes through `tf.train.Checkpoint`, which becomes the very files that it writes: it matches objects by its own
graph, and a restore insists on having used all of it.
"""

from __future__ import annotations

import os
import tempfile
from random import Random
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.eager import context
from tensorflow.python.framework.ops import EagerTensor  # a tensor to ask for its type would start the runtime

from outlast.capture.adapter import Adapter, Fixed, GlobalRng, Refused
from outlast.capture.rng import packed, unpacked
from outlast.format.model import Node

_NAME = "checkpoint"
_SHARD = ".data-00000-of-00001"
_FILES = {"index": ".index", "data": _SHARD}


class VariableAdapter(Adapter):
    """`tf.Variable`: its values, assigned to the live one."""

    name = "tensorflow.variable"
    types = (tf.Variable,)
    in_place = True

    def lower(self, value: Any) -> Any:
        if not value.shape.is_fully_defined():
            raise Refused(
                f"is a variable of the open shape {value.shape}", "give it a shape, or keep it in a Checkpoint"
            )
        return {"value": _array(value)}

    def restore(self, value: Any, saved: Any) -> Any:
        value.assign(saved["value"])
        return value


class TensorAdapter(Adapter):
    """Eager tensors: they never change, so a new one takes the live one's place."""

    name = "tensorflow.tensor"
    types = (EagerTensor,)
    buildable = True

    def lower(self, value: Any) -> Any:
        return {"value": _array(value)}

    def restore(self, value: Any, saved: Any) -> Any:  # noqa: ARG002
        return self.build(saved)

    def build(self, saved: Any) -> Any:
        return tf.constant(saved["value"])


def _array(value: Any) -> np.ndarray[Any, Any]:
    if value.dtype in (tf.string, tf.variant, tf.resource):
        raise Refused(f"holds values of the type {value.dtype.name}", "keep it in a tf.train.Checkpoint")
    found: np.ndarray[Any, Any] = np.asarray(value.numpy())  # of a scalar it makes a number
    return found


class ModuleAdapter(Adapter):
    """`tf.Module`: its variables by their attributes."""

    name = "tensorflow.module"
    types = (tf.Module,)
    exact_keys = True
    in_place = True

    def lower(self, value: Any) -> Any:
        return {path: _array(variable) for path, variable in _by_path(value).items()}

    def restore(self, value: Any, saved: Any) -> Any:
        for path, variable in _by_path(value).items():
            variable.assign(saved[path])
        return value


def _by_path(module: tf.Module) -> dict[str, Any]:
    found = module._flatten(predicate=lambda one: isinstance(one, tf.Variable), with_path=True)  # noqa: SLF001
    return {".".join(map(str, path)): variable for path, variable in found}


class CheckpointAdapter(Adapter):
    """`tf.train.Checkpoint`, and with it all that TensorFlow can track: its own two files, byte for byte.

    A new one must hold what the saved one held: `restore` of TensorFlow itself passes over what it does not find.
    """

    name = "tensorflow.checkpoint"
    types = (tf.train.Checkpoint,)
    exact_keys = True

    def lower(self, value: Any) -> Any:
        with tempfile.TemporaryDirectory(prefix="outlast-") as folder:
            prefix = value.write(os.path.join(folder, _NAME))
            return {part: tf.io.read_file(prefix + suffix).numpy() for part, suffix in _FILES.items()}

    def restore(self, value: Any, saved: Any) -> Any:
        with tempfile.TemporaryDirectory(prefix="outlast-") as folder:
            prefix = os.path.join(folder, _NAME)
            for part, suffix in _FILES.items():
                tf.io.write_file(prefix + suffix, saved[part])
            value.read(prefix).assert_consumed()
        return value


class GeneratorAdapter(Adapter):
    """`tf.random.Generator`."""

    name = "tensorflow.generator"
    types = (tf.random.Generator,)
    restored_last = True

    def lower(self, value: Any) -> Any:
        return {"algorithm": int(value.algorithm), "state": _array(value.state)}

    def restore(self, value: Any, saved: Any) -> Any:
        value.state.assign(saved["state"])
        return value

    def compare(self, value: Any, state: Node) -> str:
        saved, live = state["algorithm"], int(value.algorithm)
        return "" if saved == live else f"saved from the algorithm {saved}, the program has {live}"


class FixedAdapter(Adapter):
    """Dtypes and shapes are part of the program."""

    name = "tensorflow.fixed"
    types = (tf.DType, tf.TensorShape)

    def lower(self, value: Any) -> Any:
        return Fixed(str(value))

    def restore(self, value: Any, saved: Any) -> Any:  # noqa: ARG002
        return value


class TensorFlowRng(GlobalRng):
    """What eager random operations without a seed of their own draw from, after `tf.random.set_seed`.

    Not what is inside a `tf.function`: its random operations count in memory that nobody can reach. Draw there from
    a `tf.random.Generator`, or from stateless functions.
    """

    name = "tensorflow"

    def capture(self) -> Any:
        drawn: Random | None = getattr(context.context(), "_rng", None)
        return {} if drawn is None else {"seed": context.global_seed(), "drawn": packed(drawn.getstate())}

    def restore(self, saved: Any) -> None:
        if saved:
            tf.random.set_seed(saved["seed"])
            context.context()._rng.setstate(unpacked(saved["drawn"]))  # noqa: SLF001


ADAPTERS = (
    VariableAdapter(),
    TensorAdapter(),
    ModuleAdapter(),
    CheckpointAdapter(),
    GeneratorAdapter(),
    FixedAdapter(),
    TensorFlowRng(),
)
