"""The faults that a drill knows, in the order in which they are tried. What each does is in `strikes`."""

from __future__ import annotations

from dataclasses import dataclass

from outlast.drill.diagnosis import Wound
from outlast.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A kind of fault.

    Args:
        name: what `--faults` calls it.
        wound: what the diagnosis calls it.
        does: what happens, for people.
        is_quick: `--quick` tries it.
    """

    name: str
    wound: Wound
    does: str
    is_quick: bool = False


KILL = Fault(name="kill", wound="kill", does="SIGKILL to every process, at random times", is_quick=True)
STEP = Fault(name="step", wound="kill", does="SIGKILL when a given step is complete", is_quick=True)
SAVE = Fault(name="save", wound="kill-in-save", does="SIGKILL in the middle of a save", is_quick=True)
NOTICE = Fault(name="notice", wound="notice", does="SIGTERM to the main process: save and leave", is_quick=True)
GROUP = Fault(name="notice-group", wound="notice-group", does="SIGTERM to every process at once")
LIMIT = Fault(name="limit", wound="deadline", does="the wall time ends: notice, then the kill")
FULL = Fault(name="full-disk", wound="full-disk", does="no space is left for a while")
DAMAGE = Fault(name="damage", wound="damage", does="a kill, and the newest checkpoint is damaged", is_quick=True)
NODE = Fault(name="node", wound="lost-tier", does="the node is lost, with TMPDIR and the control folder")
TWICE = Fault(name="twice", wound="second-copy", does="a second copy of the job is started")
AGAIN = Fault(name="again", wound="after-done", does="it is started again after it was done", is_quick=True)

FAULTS = (KILL, STEP, SAVE, NOTICE, DAMAGE, AGAIN, LIMIT, GROUP, FULL, NODE, TWICE)
BY_NAME = {fault.name: fault for fault in FAULTS}


def chosen(names: str | None, *, quick: bool) -> tuple[Fault, ...]:
    """Return the faults that were asked for: by name, with commas between; `all`; those of `--quick`.

    Raises:
        UsageError: there is no such fault.
    """
    if names is None:
        return tuple(fault for fault in FAULTS if fault.is_quick or not quick)
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if wanted == ["all"]:
        return FAULTS
    unknown = [name for name in wanted if name not in BY_NAME]
    if unknown or not wanted:
        raise UsageError(
            f"--faults {names}: there is no fault {', '.join(unknown)}", hint=f"all, or {', '.join(BY_NAME)}"
        )
    return tuple(fault for fault in FAULTS if fault.name in wanted)
