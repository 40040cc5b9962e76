"""The application's outputs that grow over all attempts: a restart must neither lose rows nor have them twice."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from contextlib import suppress

from outlast.supervise.recipes.recipe import Outputs
from outlast.supervise.recipes.sets import Fill, look, paths


def lengths(outputs: Outputs, fill: Fill) -> dict[str, int]:
    """Return how long each is now, in bytes."""
    found = sorted({path for one in outputs.files for path in paths(one, fill)})
    return {path: seen[0] for path in found if (seen := look(path))}


def misfits(recorded: Mapping[str, int], now: Mapping[str, int]) -> list[str]:
    """Say which have become shorter, or are gone."""
    return [
        f"{path} had {size_bytes} bytes and {f'has {now[path]}' if path in now else 'is gone'}"
        for path, size_bytes in recorded.items()
        if now.get(path, -1) < size_bytes
    ]


def cut_back(recorded: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    """Cut each to its length of then, and empty those that were not there; return how many bytes went, by path."""
    cut: dict[str, int] = {}
    for path, size_bytes in now.items():
        wanted = recorded.get(path, 0)
        if size_bytes > wanted:
            os.truncate(path, wanted)
            cut[path] = size_bytes - wanted
    return cut


def set_apart(now: Mapping[str, int]) -> dict[str, str]:
    """Give each that is not empty a name of its own; return the new names."""
    moved: dict[str, str] = {}
    for path in now:
        if now[path]:
            moved[path] = _free(path)
            with suppress(FileNotFoundError):
                os.rename(path, moved[path])
    return moved


def _free(path: str) -> str:
    """Return the first name of its attempts that is free: `log.lammps` becomes `outlast-1.log.lammps`."""
    folder, name = os.path.split(path)
    return next(
        to for n in itertools.count(1) if not os.path.lexists(to := os.path.join(folder, f"outlast-{n}.{name}"))
    )
