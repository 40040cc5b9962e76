"""What is said when a restore fell back, or found nothing good: the same words whoever restores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from outlast.backends.keyfile import UNSIGNED, VARIABLE
from outlast.errors import DamageError, OutlastError
from outlast.format.names import CheckpointName
from outlast.store.journal import AttemptLog


def newest_saved(logs: Sequence[AttemptLog]) -> CheckpointName | None:
    """Return the newest checkpoint that a journal calls saved."""
    for log in reversed(logs):
        line = log.last("saved")
        name = CheckpointName.parse(str(line.get("checkpoint", ""))) if line else None
        if name:
            return name
    return None


def fallen_back(name: CheckpointName, newest: CheckpointName | None, trouble: str) -> str:
    """Say that what was restored is older than what was saved; empty if it is not."""
    if newest is None or name >= newest:
        return ""
    return (
        f"the newest acknowledged checkpoint was {newest.format()} (step {newest.step}): "
        f"{trouble or 'the newer ones are gone'}; going on from step {name.step}"
    )


def nothing_good(
    path: str,
    problems: Iterable[str],
    newest: CheckpointName | None,
    *,
    quarantined: int,
    is_refused: bool,
) -> OutlastError:
    """Return the error for a store that had checkpoints, of which none is good."""
    hint = "look at outlast verify and the quarantine folder; to start from the beginning, name a new store"
    if is_refused:
        hint = f"is {VARIABLE} the key of this run? What was saved before it had one: {UNSIGNED}=1. Nothing was moved"
    said = "; ".join(list(problems)[:3]) or "its checkpoints are gone"
    last = f", the last one saved was {newest.format()}" if newest else ""
    return DamageError(
        f"no checkpoint in {path} is good: {said} ({quarantined} in quarantine{last})", path=path, hint=hint
    )
