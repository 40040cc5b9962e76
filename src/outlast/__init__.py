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

from outlast.version import __version__

TYPE_CHECKING = False  # as type checkers know it: typing itself takes longer to import than all else here
if TYPE_CHECKING:
    from typing import Any

    from outlast.backends.effort import IO
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
    "IO": "outlast.backends.effort",
    "RNG": "outlast.capture",
    "register": "outlast.capture",
    "Keep": "outlast.policy.retention",
    "Run": "outlast.run",
    "Store": "outlast.store",
}

__all__ = [
    "IO",
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
