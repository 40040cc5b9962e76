"""One leaf of a checkpoint as a NumPy array, without the rest of it. The one module of the store that imports NumPy."""

from __future__ import annotations

import difflib
import importlib
import json
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from outlast.errors import DamageError, NothingError, UsageError
from outlast.store.catalog import is_published

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from outlast.format.model import Leaf, Manifest
    from outlast.store.reading import Source
    from outlast.store.store import Store

_Found = TypeVar("_Found")

_LOOKS = 20  # each is in vain only if a live run has pruned between listing and reading
_AS_BYTES = ("bytes", "utf8")  # dtypes of our own
_LONG = {"longdouble": "g", "clongdouble": "G"}
_ELSEWHERE = ("bfloat16", "float8")  # what NumPy gets from ml_dtypes


def load(store: Store, path: str, step: int | str | None, *, mmap: bool) -> NDArray[Any]:
    """See `Store.load`."""

    def take(manifest: Manifest) -> NDArray[Any]:
        with store.source(manifest) as source:
            return _mapped(source, path) if mmap else _read(source, path)

    if step is not None:
        return take(store.manifest(store.find(str(step))))
    return _of_newest_good(store, path, take)


def _of_newest_good(store: Store, path: str, take: Callable[[Manifest], _Found]) -> _Found:
    passed: dict[str, str] = {}
    for _ in range(_LOOKS):
        for name in store.checkpoints():
            if name.format() in passed:
                continue
            try:
                manifest = store.manifest(name)
            except NothingError:
                break  # a live run has removed it since it was listed: it has a newer one
            except DamageError as e:
                passed[name.format()] = _first_line(e)
                continue
            try:
                found = take(manifest)
            except DamageError as e:
                if not is_published(store.backend, name):
                    break
                passed[name.format()] = _first_line(e)
                continue
            if passed:
                message = f"{'; '.join(passed.values())}: {path} is of step {manifest.step}"
                warnings.warn(message, RuntimeWarning, stacklevel=4)
            return found
        else:
            break
    if not passed:
        raise NothingError(f"there is no checkpoint in {store.path}")
    said = "; ".join(list(passed.values())[:3])
    raise DamageError(f"no checkpoint in {store.path} has a good {path}: {said}", path=store.path)


def _read(source: Source, path: str) -> NDArray[Any]:
    leaf = _leaf(source, path)
    array = np.empty(leaf.shape, _dtype(leaf))
    _check_size(array, leaf)
    if leaf.size_bytes:
        source.read_into(path, array.reshape(-1).view(np.uint8).data)
    return array


def _mapped(source: Source, path: str) -> NDArray[Any]:
    leaf = _leaf(source, path)
    dtype = _dtype(leaf)
    view = source.map(path)
    if view is None:
        array = _read(source, path)
        array.flags.writeable = False
        return array
    return np.ndarray(leaf.shape, dtype, buffer=view)


def _check_size(array: NDArray[Any], leaf: Leaf) -> None:
    if array.nbytes != leaf.size_bytes:
        raise UsageError(
            f"leaf {leaf.path} is {leaf.dtype} with {leaf.size_bytes} bytes, here it would have {array.nbytes}",
            hint="read it on a machine of the kind where it was saved",
        )


def _leaf(source: Source, path: str) -> Leaf:
    if path not in source.leaves and all(leaf.path != path for leaf in source.manifest.leaves):
        alike = difflib.get_close_matches(path, source.leaves, n=3)
        alike += [name for name in source.leaves if name.endswith(f"/{path}") and name not in alike][:3]
        hint = f"did you mean {' or '.join(alike)}?" if alike else "see: outlast show"
        raise NothingError(f"no leaf {path} in the checkpoint of step {source.manifest.step}", hint=hint)
    return source.leaf(path)


def _dtype(leaf: Leaf) -> np.dtype[Any]:
    """Return the dtype of a leaf, little endian as it is stored; the manifest's rules have checked its name.

    Raises:
        UsageError: this process has none of that name.
    """
    if leaf.dtype in _AS_BYTES:
        return np.dtype(np.uint8)
    if leaf.dtype.startswith("struct:"):
        return _structured(leaf)
    if leaf.dtype.startswith(_ELSEWHERE):
        return _elsewhere(leaf)
    return np.dtype(leaf.dtype).newbyteorder("<")


def _structured(leaf: Leaf) -> np.dtype[Any]:
    fields = json.loads(leaf.dtype.removeprefix("struct:"))
    name = str(fields[0][0]) if len(fields) == 1 else ""
    if not name.startswith("outlast."):
        dtype: np.dtype[Any] = np.dtype(_descr(fields))
        return dtype
    for kind, char in _LONG.items():  # extended precision: it means other bits on other machines
        if name == f"outlast.{kind}{np.finfo(np.longdouble).nmant}":
            return np.dtype(char)
    raise UsageError(f"leaf {leaf.path} is of the type {name[8:]}, which this machine does not have")


def _descr(fields: Any) -> Any:
    """Turn JSON lists back into the lists and tuples of a NumPy descr."""
    if isinstance(fields, str):
        return fields
    return [
        (_tuple(name), _descr(kind), *map(_tuple, shape))  # a name may have a title, a shape may be missing
        for name, kind, *shape in fields
    ]


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _elsewhere(leaf: Leaf) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = np.dtype(getattr(importlib.import_module("ml_dtypes"), leaf.dtype))
    except (ImportError, AttributeError):
        raise UsageError(
            f"leaf {leaf.path} is {leaf.dtype}, for which NumPy needs ml_dtypes",
            hint="pip install ml_dtypes; or take its bytes: store.source(store.newest()).read(path)",
        ) from None
    return dtype


def _first_line(error: BaseException) -> str:
    return str(error).split("\n", 1)[0]
