"""The engines that are known here, ours and those of third parties, all by the same door."""

from __future__ import annotations

from outlast.errors import UsageError
from outlast.plugins import entry_points
from outlast.supervise.engines.engine import Engine

GROUP = "outlast.engines"


def known() -> tuple[str, ...]:
    """Return the names of all engines."""
    return tuple(sorted(entry.name for entry in entry_points(group=GROUP)))


def named(name: str) -> Engine:
    """Return one engine. Raises UsageError if there is none of this name, or it cannot be loaded."""
    for entry in entry_points(group=GROUP):
        if entry.name == name:
            try:
                engine: Engine = entry.load()()
            except (ImportError, AttributeError) as e:
                raise UsageError(f"the engine {name!r} cannot be loaded: {e}") from e
            return engine
    raise UsageError(f"there is no engine {name!r}", hint=f"known are: {', '.join(known())}")
