"""PyTorch files that a program wrote before it had outlast: read without running code, and put into live objects."""

from __future__ import annotations

import os
import pickle
import re
import zipfile
from collections.abc import Mapping
from typing import Any

import torch

from outlast.errors import DamageError, MismatchError, NothingError, UsageError

_WRAPPERS = ("module.", "_orig_mod.")  # of DistributedDataParallel and torch.compile
_WHOLE = frozenset({"state_dict", "model_state_dict", "model_state", "model"})


def read_checkpoint(path: str | os.PathLike[str]) -> Any:
    """Return what `torch.save` wrote, with tensors on the CPU. Nothing in the file is executed (`weights_only`).

    A file in PyTorch's present format holds a checksum of each of its records, which `torch.load` never looks at: here
    each is checked. One from before PyTorch 1.6 holds none.

    Raises:
        NothingError: there is no such file.
        DamageError: it is cut short, or its bytes are not those that were written.
        UsageError: it is no such file; or it holds objects that only running its code could bring back.
    """
    path = os.fspath(path)
    if not os.path.exists(path):
        raise NothingError(f"there is no file {path}")
    if zipfile.is_zipfile(path):
        _check_records(path)
    elif _is_begun_zip(path):
        raise DamageError(f"{path} is cut short", hint="take an older file")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as e:
        hint = "save plain values and state_dicts; or, if you trust the file, torch.serialization.add_safe_globals"
        raise UsageError(f"{path} holds what only running code could bring back: {_refused(e)}", hint=hint) from e
    except (RuntimeError, EOFError, ValueError) as e:
        raise DamageError(f"{path} cannot be read: {_first_line(e)}", hint="take an older file") from e


def import_checkpoint(
    path: str | os.PathLike[str], objects: Mapping[str, Any], *, names: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Put a file of `torch.save` into live objects; return what else it holds (an epoch, a best loss).

    For the first start of a run that goes on from a training made by hand: call it before `outlast.Run` opens. Once the
    run has a checkpoint of its own, that one comes after it, and counts.

    Args:
        path: the file: a dict of state_dicts and values, or the state_dict of one module.
        objects: what to fill, by component: anything with `load_state_dict`. Looked for under the same key, or that
            with ``_state_dict`` or ``_state`` behind it; `model` also under ``state_dict``. Prefixes that
            DistributedDataParallel and torch.compile put before names are taken off.
        names: the file's keys by component, where they are others.

    Raises:
        NothingError, DamageError, UsageError: as `read_checkpoint`.
        MismatchError: a key is missing, or does not fit its object. The objects are then filled in part.
    """
    found = read_checkpoint(path)
    if not isinstance(found, Mapping):
        raise MismatchError(f"{os.fspath(path)} holds a {type(found).__name__}, not a dict")
    if len(objects) == 1 and found and all(isinstance(value, torch.Tensor) for value in found.values()):
        ((name, only),) = objects.items()
        _load(path, name, only, found)
        return {}
    rest = dict(found)
    for name, live in objects.items():
        key = (names or {}).get(name) or _key(found, name)
        if key not in found:
            hint = f"name its key: names={{{name!r}: ...}}"
            raise MismatchError(f"{os.fspath(path)} has no {name}: it holds {', '.join(map(str, found))}", hint=hint)
        _load(path, name, live, rest.pop(key))
    return rest


def _key(found: Mapping[str, Any], name: str) -> str:
    likely = [name, f"{name}_state_dict", f"{name}_state", *(("state_dict",) if name in _WHOLE else ())]
    return next((key for key in likely if key in found), name)


def _load(path: str | os.PathLike[str], name: str, live: Any, state: Any) -> None:
    if isinstance(live, torch.nn.Module):
        live = getattr(live, "_orig_mod", live)
        state = _named_plainly(state)
    try:
        live.load_state_dict(state)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise MismatchError(f"{name} of {os.fspath(path)} does not fit the program's: {e}") from e


def _named_plainly(state: Any) -> Any:
    if not isinstance(state, Mapping):
        return state
    names = list(state)
    for prefix in _WRAPPERS * 2:  # in either order
        if names and all(name.startswith(prefix) for name in names):
            names = [name.removeprefix(prefix) for name in names]
    return dict(zip(names, state.values(), strict=True))


def _check_records(path: str) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError) as e:
        raise DamageError(f"{path} is damaged: {_first_line(e)}", hint="take an older file") from e
    if bad is not None:
        raise DamageError(f"{path} is damaged: the checksum of {bad} is another", hint="take an older file")


def _is_begun_zip(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _refused(error: pickle.UnpicklingError) -> str:
    """Return the name of the class or function that PyTorch would not look up; it says it far below its advice."""
    found = re.search(r"GLOBAL (\S+)", str(error))
    return found[1] if found else _first_line(error)


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0] or type(error).__name__
