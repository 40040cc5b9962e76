"""The batch systems that are known here, ours and those of third parties, all by the same door."""

from __future__ import annotations

from collections.abc import Mapping

from outlast.errors import UsageError
from outlast.plugins import entry_points
from outlast.supervise.batch.system import BatchSystem, Job

GROUP = "outlast.schedulers"
_FIRST = "slurm"


def known() -> dict[str, BatchSystem]:
    """Return all batch systems by name: first the one that most clusters have, wherever several are installed.

    One that cannot be loaded is left out: a run does not end for somebody else's broken package.
    """
    systems, _ = _loaded()
    return systems


def named(name: str) -> BatchSystem:
    """Return one batch system. Raises UsageError if there is none of this name, or it cannot be loaded."""
    systems, broken = _loaded()
    if name in broken:
        hint = "install the package that brings it once more"
        raise UsageError(f"the batch system {name!r} cannot be loaded: {broken[name]}", hint=hint)
    if name not in systems:
        raise UsageError(f"there is no batch system {name!r}", hint=f"known are: {', '.join(sorted(systems))}")
    return systems[name]


def _loaded() -> tuple[dict[str, BatchSystem], dict[str, str]]:
    """Return the batch systems by name, and why others cannot be had, by the name of their entry point."""
    systems: dict[str, BatchSystem] = {}
    broken: dict[str, str] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name != _FIRST, entry.name)):
        try:
            system = entry.load()()
        except (ImportError, AttributeError) as e:
            broken[entry.name] = str(e)
        else:
            systems[system.name] = system
    return systems, broken


def find(env: Mapping[str, str]) -> tuple[BatchSystem, Job] | None:
    """Return the batch system and the job that a process with this environment runs in; None outside of all.

    `local` comes last: its variable goes along into the jobs that its jobs submit.
    """
    for system in sorted(known().values(), key=lambda system: system.name == "local"):
        job = system.find(env)
        if job is not None:
            return system, job
    return None
