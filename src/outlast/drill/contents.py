"""Arrays and files compared by what is in them: where they first differ, and whether that is within a tolerance."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Sequence
from typing import Any

from outlast.drill.results import State
from outlast.format.model import Leaf
from outlast.store import Store

_FORMATS = {"float64": "d", "float32": "f"}
_BETWEEN = re.compile(r"([\s,;:()\[\]{}=\"']+)")
_TEXT_BYTES = 8192


def leaf(before: State, after: State, name: str, tolerance: float) -> str:
    """Say how a leaf differs; empty if it does not."""
    old, new = before.leaves.get(name), after.leaves.get(name)
    if old is None or new is None:
        return "is missing" if new is None else "is not in the undisturbed run"
    if (old.dtype, old.shape) != (new.dtype, new.shape):
        return f"is {new.dtype}{list(new.shape)}, expected {old.dtype}{list(old.shape)}"
    if old.chunks == new.chunks:
        return ""
    if old.offset is not None or old.dtype not in _FORMATS:
        return f"differs in {_differing(old, new)}"
    first, second = (_numbers(state, name) for state in (before, after))
    pairs = [at for at, (a, b) in enumerate(zip(first, second, strict=True)) if a != b and not (a != a and b != b)]  # noqa: PLR0124
    if tolerance and all(is_close(first[at], second[at], tolerance) for at in pairs):
        return ""
    if not pairs:
        return "differs in the bits of its zeros or NaNs"
    most = max(abs(first[at] - second[at]) for at in pairs)
    where = f", {_place(pairs[0], old.shape)}," if old.shape else ""
    value = f"{second[pairs[0]]!r}, expected {first[pairs[0]]!r}"
    return f"{len(pairs)} of {len(first)} numbers differ, by up to {most:.3g}; the first{where} is {value}"


def _place(at: int, shape: Sequence[int]) -> list[int]:
    """Return the index of the n-th element of an array, a number for each dimension."""
    found = []
    for length in reversed(shape):
        at, index = divmod(at, length)
        found.append(index)
    return found[::-1]


def _differing(old: Leaf, new: Leaf) -> str:
    count = sum(a != b for a, b in zip(old.chunks, new.chunks, strict=True))
    return f"{count} of {len(old.chunks)} chunks"


def _numbers(state: State, name: str) -> Sequence[float]:
    store = Store(state.path)
    with store.source(store.newest()) as source:
        found = source.read(name)
    return array(_FORMATS[state.leaves[name].dtype], bytes(found))


def file(expected: str, found: str, tolerance: float) -> str:
    """Say where two files differ that are not the same byte for byte; empty if numbers differ within the tolerance."""
    with open(expected, "rb") as one, open(found, "rb") as other:
        old, new = one.read(), other.read()
    if b"\0" in old[:_TEXT_BYTES] or b"\0" in new[:_TEXT_BYTES]:
        return _array(expected, found, tolerance) if tolerance else _bytes(old, new)
    return _text(old.decode(errors="replace"), new.decode(errors="replace"), tolerance)


def _bytes(old: bytes, new: bytes) -> str:
    at = next((at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    sizes = "" if len(old) == len(new) else f"; {len(new)} bytes, expected {len(old)}"
    return f"differs from byte {at} on{sizes}"


def _text(old: str, new: str, tolerance: float) -> str:
    before, after = old.splitlines(), new.splitlines()
    for number, (a, b) in enumerate(zip(before, after, strict=False), 1):
        if a != b and not (tolerance and _are_lines_close(a, b, tolerance)):
            return f"line {number} is {b[:60]!r}, expected {a[:60]!r}"
    if len(before) != len(after):
        more = (after if len(after) > len(before) else before)[min(len(before), len(after))]
        return f"has {len(after)} lines, expected {len(before)}; the first beyond is {more[:60]!r}"
    return "" if tolerance else "differs in its line ends"


def _are_lines_close(old: str, new: str, tolerance: float) -> bool:
    """Say whether two lines have the same words, and numbers within the tolerance."""
    words = _BETWEEN.split(old), _BETWEEN.split(new)
    if len(words[0]) != len(words[1]):
        return False
    return all(a == b or _are_words_close(a, b, tolerance) for a, b in zip(*words, strict=True))


def _are_words_close(old: str, new: str, tolerance: float) -> bool:
    try:
        return is_close(float(old), float(new), tolerance)
    except ValueError:
        return False


def _array(expected: str, found: str, tolerance: float) -> str:
    """Compare files of NumPy arrays; of others nothing is known but bytes."""
    try:
        import numpy as np

        old, new = (_arrays(np.load(path, allow_pickle=False)) for path in (expected, found))
    except (ImportError, ValueError, OSError):
        with open(expected, "rb") as one, open(found, "rb") as other:
            return _bytes(one.read(), other.read())
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            return f"the array {name} is in one only"
        a, b = old[name], new[name]
        is_same = a.shape == b.shape and a.dtype == b.dtype
        if not is_same or not np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=a.dtype.kind in "fc"):
            return (
                f"the array {name} differs by more than {tolerance:g}"
                if is_same
                else f"the array {name} has another form"
            )
    return ""


def _arrays(loaded: Any) -> dict[str, Any]:
    return {name: loaded[name] for name in loaded.files} if hasattr(loaded, "files") else {"": loaded}


def is_close(old: float, new: float, tolerance: float) -> bool:
    """Say whether two numbers agree within a tolerance, relative and absolute. NaN agrees with NaN."""
    return math.isclose(old, new, rel_tol=tolerance, abs_tol=tolerance) or (math.isnan(old) and math.isnan(new))
