"""Whether data are what they were: what a loop over a sequence or an iterable keeps of it, to compare after a restart.

Small sequences of whole numbers (the order of an epoch, mostly drawn anew by the program) are kept themselves. Of all
else a checksum of what can be told quickly: marks are for mistakes, not for proof.
"""

from __future__ import annotations

import math
import sys
import weakref
import zlib
from array import array
from collections.abc import Callable, Sequence
from typing import Any

from outlast.errors import MismatchError
from outlast.format.model import Node
from outlast.run.packing import pack, unpack

_MOST_KEPT = 20_000
_MOST_NESTED = 5_000  # numbers in sequences of sequences: they take more room
_SAMPLES = 256
_MOST_BYTES = 64 << 20
_QUICK_BYTES = 8 << 20
_ITEM_BYTES = 4096
_PLAIN = (int, float, complex, str, bytes, type(None))


def mark(source: Any) -> Node:
    """Return what to keep of a sequence; None for one of which nothing can be told without reading it."""
    numbers = _numbers(source)
    if numbers is not None:
        return {"numbers": pack(numbers.tobytes())}
    if _nested(source) is not None:
        return {"nested": pack(source), "length": len(source)}
    checksum = _checksum(source, len(source)) if is_known(source) else None
    return None if checksum is None else {"length": len(source), "checksum": checksum}


def check(source: Any, kept: Node, path: str) -> tuple[Any, bool]:
    """Return the sequence to go on with, and whether it is another one than the program's: the one that was kept.

    Raises:
        MismatchError: it is not what it was, and was too large to be kept.
    """
    if not isinstance(kept, dict):
        return source, False
    if "numbers" in kept:
        saved = array("q", unpack(kept["numbers"]))
        if len(source) < len(saved):
            return source, False
        now = _numbers(source, len(saved))
        return (source, False) if now == saved else (_like(source, saved), True)
    length = kept.get("length", 0)
    if "nested" in kept:
        if len(source) < length or pack(source[:length]) == kept["nested"]:
            return source, False
        return _into(source, unpack(kept["nested"])), True
    if len(source) >= length and _checksum(source, length) != kept.get("checksum"):
        raise MismatchError(
            f"loop {path} is over other data than at the save: some of its first {length} items differ",
            hint="make it from what the state holds, or in the same order each time; or name a new store",
        )
    return source, False


def data_mark(dataset: Any) -> Node:
    """Return what to keep of a loader's data: the choice of a subset, the tensors that they are.

    Not their number: the order that the sampler draws again tells it.
    """
    found = 0
    while dataset is not None:
        indices = getattr(dataset, "indices", None)
        if isinstance(indices, Sequence) or is_array(indices):
            numbers = _numbers(indices, any_length=True)
            found = zlib.crc32(numbers.tobytes() if numbers is not None else b"", found)
        for tensor in getattr(dataset, "tensors", ()):
            if is_array(tensor) and len(tensor):
                found = zlib.crc32(str(_known_checksum(tensor)).encode(), found)
        dataset = getattr(dataset, "dataset", None)
    return found


def check_data(dataset: Any, kept: Node, path: str) -> None:
    """Raise MismatchError if a loader's data are not those of the save, as far as can be told."""
    if kept is not None and data_mark(dataset) != kept:
        raise MismatchError(
            f"loop {path}: the loader's data are others than at the save (a random split, or their tensors)",
            hint="make data before the run's block: inside it the random generators stand where the save left them",
        )


def item_mark(item: Any, before: int) -> int:
    """Return the checksum of a stream after one more item; what cannot be told quickly is left out."""
    raw = _raw(item)
    return before if raw is None else zlib.crc32(raw, before)


def is_quick(source: Any) -> bool:
    """Say whether a mark is soon made, so that each save can make it: of a list, a tuple, a smaller array."""
    return type(source) in (list, tuple) or (is_array(source) and source.nbytes <= _QUICK_BYTES)


def is_known(source: Any) -> bool:
    """Say whether reading an item does nothing but that: it is a sequence or an array."""
    return isinstance(source, Sequence) or is_array(source)


def is_array(value: Any) -> bool:
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    return (numpy is not None and isinstance(value, numpy.ndarray)) or (
        torch is not None and isinstance(value, torch.Tensor)
    )


def _nested(source: Any) -> int | None:
    """Return how many whole numbers a sequence holds in its sequences and arrays; None if it holds else, or many."""
    if type(source) in (list, tuple):
        counts = [1 if type(one) is int else _nested(one) for one in source[:_MOST_NESTED]]
        found = None if None in counts or len(source) > _MOST_NESTED else sum(filter(None, counts))
    else:
        kind = str(getattr(source, "dtype", "")).removeprefix("torch.").rstrip("0123456789")
        found = math.prod(source.shape) if is_array(source) and kind in ("int", "uint") else None
    return found if found is not None and found <= _MOST_NESTED else None


def _numbers(source: Any, length: int | None = None, *, any_length: bool = False) -> array[int] | None:
    """Return the first items as whole numbers, if they are such and few; all of them without `length`."""
    if isinstance(source, range) or (not isinstance(source, (list, tuple)) and not is_array(source)):
        return None
    if len(getattr(source, "shape", (0,))) != 1 or len(source) < (length or 1):
        return None
    length = len(source) if length is None else length
    if (length > _MOST_KEPT and not any_length) or "float" in str(getattr(source, "dtype", "")):
        return None
    items = source[:length].tolist() if is_array(source) else source[:length]
    if not all(type(item) is int for item in items):
        return None
    try:
        return array("q", items)
    except OverflowError:
        return None


def _like(source: Any, numbers: array[int]) -> Any:
    """Return numbers as a sequence of the type that the program has: in it, where it can be changed."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    found: Any = numbers.tolist()
    if numpy is not None and isinstance(source, numpy.ndarray):
        found = numpy.array(numbers, dtype=source.dtype)
    elif torch is not None and isinstance(source, torch.Tensor):
        found = torch.tensor(found, dtype=source.dtype, device=source.device)
    return _into(source, found)


def _into(source: Any, found: Any) -> Any:
    """Put the saved items into the program's own list or array, which a later pass may shuffle further."""
    if len(source) != len(found) or isinstance(source, tuple):
        return found
    try:
        source[:] = found
    except (TypeError, ValueError):  # it cannot be written to
        return found
    return source


def _checksum(source: Any, length: int) -> int:
    if isinstance(source, range):
        return zlib.crc32(repr((source.start, source.step)).encode())
    if is_array(source):
        return _array_checksum(source[:length])
    step = max(1, length // _SAMPLES)
    found = 0
    for at in range(0, length, step):
        found = item_mark(source[at], found)
    return found


def _known_checksum(tensor: Any) -> int:
    """Return the checksum of data that are looked at in each epoch: again only where PyTorch counts a change."""
    version = None if getattr(tensor, "is_inference", bool)() else getattr(tensor, "_version", None)
    known = _known.get(id(tensor))
    if known is not None and known[0]() is tensor and known[1] == version:
        return known[2]
    found = _array_checksum(tensor)
    if version is not None:
        key = id(tensor)
        _known[key] = weakref.ref(tensor, lambda _: _known.pop(key, None)), version, found
    return found


_known: dict[int, tuple[Callable[[], object], int, int]] = {}


def _array_checksum(values: Any) -> int:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(values, torch.Tensor):
        rows = values.detach().reshape(len(values), -1)[:, :_SAMPLES]
        values = rows[:: max(1, 8 * rows.numel() // _MOST_BYTES)].to("cpu", torch.float64).numpy()
    else:
        values = values[:: max(1, values.nbytes // _MOST_BYTES)]
    return zlib.crc32(values.tobytes(), zlib.crc32(str(values.dtype).encode()))


def _raw(item: Any, depth: int = 0) -> bytes | None:
    if isinstance(item, _PLAIN):
        return repr(item).encode(errors="replace")[:_ITEM_BYTES]
    if isinstance(item, (list, tuple)) and depth < 2 and len(item) <= _SAMPLES:  # noqa: PLR2004  (pairs of lists)
        return b",".join(_raw(inner, depth + 1) or b"?" for inner in item)
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(item, (numpy.ndarray, numpy.generic)) and item.nbytes <= _ITEM_BYTES:
        return bytes(item.tobytes())
    return None
