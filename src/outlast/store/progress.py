"""How far a run is and when it will be done: pure arithmetic on where its loops stand and how fast it was."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from outlast.format.model import Node
from outlast.format.names import STEP_LIMIT
from outlast.store.endings import Ending
from outlast.store.history import History

_LEAST_SHARE = 1e-9  # of less nothing can be concluded


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a run stands.

    Attributes:
        step: steps that are saved.
        share: how much of the whole that is, from 0 to 1; None if the loops do not say how many passes they make.
        loops: those that were open, outermost first: name, completed passes, passes in all (None: not known).
    """

    step: int
    share: float | None
    loops: tuple[tuple[str, int, int | None], ...]

    @property
    def steps_total(self) -> int | None:
        """Return how many steps there will be, about; None if that cannot be told."""
        if self.share is None or self.share < _LEAST_SHARE:
            return None
        return max(self.step, round(self.step / self.share))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What is to come.

    Attributes:
        remaining_s: seconds of running that are left; None if that cannot be told.
        end_s: when it will be done, in seconds since the epoch, if it is not interrupted; None while it does not run.
        jobs: how many jobs it needs after the present one; None if that cannot be told.
    """

    remaining_s: float | None
    end_s: float | None = None
    jobs: int | None = None


def progress(step: int, position: Node, *, done: bool) -> Progress:
    """Say where a checkpoint stands.

    Args:
        step: its step.
        position: where the loops stood, as in its manifest; anything else counts as not known.
        done: it is the last one.
    """
    found = position.get("open") if isinstance(position, dict) else None
    loops = tuple(_loop(one) for one in found if _is_loop(one)) if isinstance(found, list) else ()
    return Progress(step=step, share=1.0 if done else _share(loops), loops=loops)


def outlook(where: Progress | None, past: History, *, now_s: float) -> Outlook:
    """Say what is to come, by how fast the last attempts were; else by the time that the run was said to need."""
    rate = past.steps_per_s
    total = where.steps_total if where else None
    if where and total is not None and rate:
        remaining_s = (total - where.step) / rate
        since_s = (past.saved or (now_s, 0))[0]
    else:
        wanted_s = next((log.placed["total_s"] for log in reversed(past.jobs) if "total_s" in log.placed), None)
        if wanted_s is None:
            return Outlook(remaining_s=None)
        remaining_s, since_s = max(0.0, wanted_s - (past.used_s(now_s) - past.lost_s)), now_s
    last = past.last
    if last is None or last.ending is not Ending.RUNNING:
        return Outlook(remaining_s=remaining_s)
    end_s = max(now_s, since_s + remaining_s)
    return Outlook(remaining_s=max(0.0, end_s - now_s), end_s=end_s, jobs=_jobs(past, end_s))


def _jobs(past: History, end_s: float) -> int | None:
    """Return how many jobs as long as the present one come after it."""
    deadline_s = past.deadline_s
    if deadline_s is None:
        return None
    length_s = deadline_s - past.starts[-1].placed_s
    return max(0, math.ceil((end_s - deadline_s) / length_s)) if length_s > 0 else None


def _is_loop(record: Any) -> bool:
    if not isinstance(record, dict) or not isinstance(record.get("name"), str) or not _is_count(record.get("done")):
        return False
    return record.get("total") is None or _is_count(record["total"])


def _is_count(found: Any) -> bool:
    return type(found) is int and 0 <= found < STEP_LIMIT


def _loop(record: dict[str, Any]) -> tuple[str, int, int | None]:
    return record["name"], record["done"], record.get("total")


def _share(loops: tuple[tuple[str, int, int | None], ...]) -> float | None:
    """Return how much of the outermost loop is done, passes of the inner ones as parts of one of its own."""
    if not loops or not loops[0][2]:
        return None
    share, width = 0.0, 1.0
    for _, done, total in loops:
        if not total:
            break
        share += width * min(1.0, done / total)
        width /= total
    return min(1.0, share)
