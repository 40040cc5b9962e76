"""What a supervisor and who carries its command's files agree on: on which terms, by which variables, why not."""

from __future__ import annotations

from dataclasses import dataclass

SUPERVISOR = "OUTLAST_SUPERVISOR"
SAVE, RESTORE, STEP = "OUTLAST_SAVE", "OUTLAST_RESTORE", "OUTLAST_STEP"
KEEP = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a run's files are kept.

    Args:
        store: the store's absolute path.
        every: how often to ask for a save: "auto", "5%" or a time.
        keep: how many checkpoints stay.
    """

    store: str
    every: str = "auto"
    keep: int = KEEP


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why the program must not run, or not any more."""

    status: int
    text: str
