"""When to save for the last time before a known deadline. Pure.

A save must be durable before the kill, and one more step must not make it late: save at the boundary after which
another step would leave less than a high quantile of the save's time, plus a margin.
"""

from __future__ import annotations

from outlast.units import format_duration

MARGIN_S = 1.0
LEAD_S = 120.0  # where no save was measured yet
_LEAST_LEAD_S = 30.0
_SHARE = 0.1  # of a short window: a margin or an assumed save must not take it all
_ASSUMED_BYTES_PER_S = 100e6
_ASSUMED_LEAST_S = 1.0


def assumed_save_s(size_bytes: int, window_s: float) -> float:
    """Return what a save may take where none was measured: at 100 MB/s, at least a second or a tenth of the window."""
    return max(min(_ASSUMED_LEAST_S, _SHARE * window_s), size_bytes / _ASSUMED_BYTES_PER_S)


def margin_s(window_s: float) -> float:
    """Return what is left for the way out, of an attempt that was given so many seconds in all."""
    return min(MARGIN_S, _SHARE * window_s)


def last_call(left_s: float, *, save_s: float, step_s: float, margin_s: float = MARGIN_S) -> str | None:
    """Return why it is time to save and leave at this boundary; None while there is time for another step.

    Args:
        left_s: until the deadline.
        save_s: a high quantile of the time that a save takes until it is durable.
        step_s: the longest step so far.
        margin_s: what is left for the way out.
    """
    needed_s = save_s + step_s + margin_s
    if left_s >= needed_s:
        return None
    return (
        f"the deadline is {format_duration(max(0.0, left_s))} away; a save ({format_duration(save_s)}), a step "
        f"({format_duration(step_s)}) and a margin ({format_duration(margin_s)}) need {format_duration(needed_s)}"
    )


def lead_s(save_s: float, step_s: float) -> float:
    """Return how long before a job's end it should be told, by whom can only say it once.

    Twice what a step, a save of the usual kind and the way out take: both vary, and to be early costs next to nothing.

    Args:
        save_s: a high quantile of the time that a save takes until it is durable.
        step_s: the time of a step.
    """
    return max(_LEAST_LEAD_S, 2 * (save_s + step_s + MARGIN_S))
