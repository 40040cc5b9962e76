"""outlast: checkpoint and restart for any computation.

    state = {"model": model, "optimizer": optimizer, "rng": outlast.RNG()}
    with outlast.Run("ckpts/resnet", state) as run:
        for epoch in run.range(90, "epoch"):
            for x, y in run.iterate(loader, "batch"):
                train_step(model, optimizer, x, y)

The names below are the public ones; they are imported when they are first used, so that the command line starts
quickly.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from outlast.version import __version__

if TYPE_CHECKING:
    from outlast.capture import RNG, register
    from outlast.errors import (
        BusyError,
        CaptureError,
        DamageError,
        MismatchError,
        NothingError,
        OutlastError,
        Preempted,
        SpaceError,
        StorageError,
        UsageError,
    )
    from outlast.policy.retention import Keep
    from outlast.run import Run
    from outlast.store import Store

_HOMES = {
    "RNG": "outlast.capture",
    "register": "outlast.capture",
    "Keep": "outlast.policy.retention",
    "Run": "outlast.run",
    "Store": "outlast.store",
}

__all__ = [
    "RNG",
    "BusyError",
    "CaptureError",
    "DamageError",
    "Keep",
    "MismatchError",
    "NothingError",
    "OutlastError",
    "Preempted",
    "Run",
    "SpaceError",
    "StorageError",
    "Store",
    "UsageError",
    "__version__",
    "register",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'outlast' has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "outlast.errors")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
