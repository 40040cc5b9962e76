"""Checkpoints of TensorFlow compared tensor by tensor.

Their bytes are no good for that: what an iterator of tf.data has read ahead is in them, and no two runs agree in it.
The tensors are read by TensorFlow itself, in a process of its own; where it is not installed, bytes are all there is.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from typing import Any

from outlast.drill.results import State
from outlast.store import Store

FILES = {"index": ".index", "data": ".data-00000-of-00001"}
_PARTS = ("expected", "found")


def differing(before: State, after: State, path: str, tolerance: float) -> dict[str, str] | None:
    """Return the tensors of a `tf.train.Checkpoint` that differ, and how; None if they cannot be told apart here."""
    with tempfile.TemporaryDirectory(prefix="outlast-drill-") as folder:
        for name, state in zip(_PARTS, (before, after), strict=True):
            _lay(state, path, os.path.join(folder, name))
        command = [sys.executable, "-P", "-m", __name__, folder, str(tolerance)]
        told = subprocess.run(  # noqa: S603  (this Python, this module)
            command, capture_output=True, text=True, check=False, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}
        )
    found: dict[str, str] | None = json.loads(told.stdout.splitlines()[-1]) if told.returncode == 0 else None
    return found


def _lay(state: State, path: str, prefix: str) -> None:
    store = Store(state.path)
    with store.source(store.newest()) as source:
        for part, suffix in FILES.items():
            node = state.bundles[path][part]
            with open(prefix + suffix, "wb") as file:
                file.write(source.read(node["leaf"]) if "leaf" in node else base64.b64decode(node["base64"]))


def main(folder: str, tolerance: float) -> None:
    """Print what differs, as JSON, on the last line."""
    import tensorflow as tf

    old, new = (tf.train.load_checkpoint(os.path.join(folder, part)) for part in _PARTS)
    types = old.get_variable_to_dtype_map(), new.get_variable_to_dtype_map()
    found = {}
    for name in sorted(types[0].keys() | types[1].keys()):
        if name not in types[0] or name not in types[1]:
            found[name] = "is missing" if name in types[0] else "is not in the undisturbed run"
        elif tf.variant in (types[0][name], types[1][name]):
            continue  # an iterator
        elif text := _difference(old.get_tensor(name), new.get_tensor(name), tolerance):
            found[name] = text
    sys.stdout.write(json.dumps(found) + "\n")


def _difference(old: Any, new: Any, tolerance: float) -> str:
    import numpy as np

    old, new = np.asarray(old), np.asarray(new)
    if (old.dtype, old.shape) != (new.dtype, new.shape):
        return f"is {new.dtype}{list(new.shape)}, expected {old.dtype}{list(old.shape)}"
    if old.tobytes() == new.tobytes() or (old.dtype.kind == "O" and old.tolist() == new.tolist()):
        return ""
    is_float = old.dtype.kind in "fc"
    if tolerance and is_float and np.allclose(old, new, rtol=tolerance, atol=tolerance, equal_nan=True):
        return ""
    return f"{np.sum(old != new)} of {old.size} numbers differ"


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
