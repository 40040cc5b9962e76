"""Small state as JSON data inside a position: what a loader or a generator says of itself, lists and bytes alike.

Numbers that JSON keeps, text, None and booleans stand for themselves; every other value is an object with one
key, its kind. What is large belongs into the run's state, not here.
"""

from __future__ import annotations

import base64
import math
import sys
import zlib
from collections.abc import Callable
from typing import Any

from outlast.errors import CaptureError, MismatchError
from outlast.format.model import Node

_LIMIT_BYTES = 1 << 20
_EXACT = 1 << 53
_DEEPEST = 40


def pack(value: Any, path: str = "", depth: int = 0) -> Node:
    """Return `value` as JSON data. Raises CaptureError, naming `path`, for what cannot be kept so."""
    if depth > _DEEPEST:
        raise CaptureError(f"{path}: nested more than {_DEEPEST} deep")
    if value is None or type(value) in (bool, str):
        return value
    if type(value) is int:
        return value if abs(value) <= _EXACT else {"int": str(value)}
    if type(value) is float:
        return value if math.isfinite(value) else {"float": value.hex()}
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": _text(bytes(value), path)}
    if type(value) in (list, tuple):
        return {type(value).__name__: [pack(v, f"{path}/{i}", depth + 1) for i, v in enumerate(value)]}
    if isinstance(value, dict):
        return {"dict": [[pack(k, path, depth + 1), pack(v, f"{path}/{k}", depth + 1)] for k, v in value.items()]}
    return _pack_array(value, path)


def unpack(node: Node) -> Any:
    """Return what `pack` was given. Raises MismatchError if it was not `pack` that made `node`."""
    if not isinstance(node, (dict, list)):
        return node
    try:
        ((kind, inner),) = node.items()  # type: ignore[union-attr]
        return _UNPACK[kind](inner)
    except (AttributeError, KeyError, TypeError, ValueError, zlib.error) as e:
        raise MismatchError(f"a loop's saved state is not understood: {str(node)[:80]}") from e


def _pack_array(value: Any, path: str) -> Node:
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor) and not value.is_sparse:
        array = value.detach().cpu().contiguous()
        raw = array.reshape(-1).view(torch.uint8).numpy().tobytes() if array.numel() else b""
        return {"tensor": [str(array.dtype).removeprefix("torch."), list(array.shape), _text(raw, path)]}
    if numpy is not None and isinstance(value, numpy.ndarray) and value.dtype.kind in "biufc":
        return {"array": [value.dtype.newbyteorder("<").str, list(value.shape), _text(_little(value), path)]}
    if numpy is not None and isinstance(value, numpy.generic):
        return pack(value.item(), path)
    raise CaptureError(
        f"{path}: a {type(value).__name__} cannot be kept with a loop's position",
        hint="state_dict() should give numbers, texts, lists, dicts and small arrays",
    )


def _little(value: Any) -> bytes:
    raw: bytes = value.astype(value.dtype.newbyteorder("<")).tobytes()
    return raw


def _text(raw: bytes, path: str) -> str:
    if len(raw) > _LIMIT_BYTES:
        raise CaptureError(
            f"{path}: {len(raw)} bytes are too many for a loop's position ({_LIMIT_BYTES} at most)",
            hint="put the loader into the run's state dict, and iterate over it without run.iterate",
        )
    return base64.b64encode(zlib.compress(raw, 1)).decode()


def _raw(text: str) -> bytes:
    stream = zlib.decompressobj()
    raw = stream.decompress(base64.b64decode(text, validate=True), _LIMIT_BYTES)
    if not stream.eof:
        raise ValueError("too long, or cut")
    return raw


def _tensor(node: Node) -> Any:
    torch = sys.modules["torch"]
    dtype, shape, text = node
    raw = bytearray(_raw(text))
    kind = getattr(torch, dtype)
    return torch.frombuffer(raw, dtype=kind).reshape(shape) if raw else torch.empty(shape, dtype=kind)


def _array(node: Node) -> Any:
    numpy = sys.modules["numpy"]
    dtype, shape, text = node
    return numpy.frombuffer(bytearray(_raw(text)), dtype=dtype).reshape(shape)


_UNPACK: dict[str, Callable[[Any], Any]] = {
    "int": int,
    "float": float.fromhex,
    "bytes": _raw,
    "list": lambda items: [unpack(item) for item in items],
    "tuple": lambda items: tuple(unpack(item) for item in items),
    "dict": lambda items: {unpack(key): unpack(value) for key, value in items},
    "tensor": _tensor,
    "array": _array,
}
