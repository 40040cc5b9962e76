"""When to save for the last time before a known deadline. Pure.

A save must be durable before the kill, and one more step must not make it late: save at the boundary after which
another step would leave less than a high quantile of the save's time, plus a margin.
"""

from __future__ import annotations

from dataclasses import dataclass

from outlast.units import format_duration

MARGIN_S = 1.0
_ASSUMED_BYTES_PER_S = 100e6
_ASSUMED_LEAST_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LastCall:
    """Whether to save and leave now, and why."""

    due: bool
    reason: str


def assumed_save_s(size_bytes: int) -> float:
    """Return what a save may take where none was measured: at 100 MB/s, at least a second."""
    return max(_ASSUMED_LEAST_S, size_bytes / _ASSUMED_BYTES_PER_S)


def last_call(left_s: float, *, save_s: float, step_s: float, margin_s: float = MARGIN_S) -> LastCall:
    """Decide at a boundary.

    Args:
        left_s: until the deadline.
        save_s: a high quantile of the time that a save takes until it is durable.
        step_s: the longest step so far.
        margin_s: what is left for the way out.
    """
    needed_s = save_s + step_s + margin_s
    reason = (
        f"the deadline is {format_duration(max(0.0, left_s))} away; a save ({format_duration(save_s)}), a step "
        f"({format_duration(step_s)}) and a margin ({format_duration(margin_s)}) need {format_duration(needed_s)}"
    )
    return LastCall(due=left_s < needed_s, reason=reason)
