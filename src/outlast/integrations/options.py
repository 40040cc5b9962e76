"""The keyword arguments of `outlast.Run` that every front passes on as they are."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, TypedDict

from outlast.backends.effort import IO
from outlast.policy.retention import Keep


class Options(TypedDict, total=False):
    """See `outlast.Run`."""

    every: str | int
    keep: int | Keep
    allow: Collection[str]
    on_error: Literal["stop", "warn"]
    deadline: float | None
    takeover: bool
    snapshot: Literal["copy", "fork"]
    io: IO
