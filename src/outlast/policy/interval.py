"""How often to save: the interval that loses the least time, with its reason. Pure.

Only what the loop feels of a save enters the optimum; the time until it is durable bounds it from below. Source:
Daly, FGCS 22 (2006), minimised exactly by Lambert's W; the optimum is flat, so honest inputs matter more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from outlast.errors import UsageError
from outlast.units import format_duration, parse_duration, whole

FIRST_S = 1.0
SHORTEST_S = 1.0
LONGEST_S = 6 * 3600.0
OVERHEAD = 0.02
PRIOR_MTBF_S = 24 * 3600.0
_NEWTON_STEPS = 50
_SERIES_BELOW = 1e-33  # the next term of the series is below the last bit


@dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    """What the user asked for: a number of steps or seconds, or, if neither is set, the best interval.

    Args:
        steps: save every so many steps.
        seconds_s: save every so many seconds.
        overhead: the share of the time that saving may take, where the interval is ours to choose.
    """

    steps: int | None = None
    seconds_s: float | None = None
    overhead: float = OVERHEAD

    @property
    def is_auto(self) -> bool:
        return self.steps is None and self.seconds_s is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What saves have cost so far; None before the first.

    Args:
        blocked_s: median time that the loop was held up.
        latency_s: median time until durable.
    """

    blocked_s: float | None = None
    latency_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """When the next save is due, and why: after so many steps, or so many seconds, since the last one."""

    steps: int | None = None
    seconds_s: float | None = None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How often the run is interrupted without notice.

    Args:
        per_s: interruptions a second.
        events: how many were seen.
        exposure_s: in how much running time.
        is_known: it was given, not learned.
    """

    per_s: float
    events: int
    exposure_s: float
    is_known: bool = False


def parse_every(value: str | int) -> Every:
    """Read `every=`: "auto", "5%" (as auto, under that overhead), a number of steps, or "10min". Raises UsageError."""
    if value == "auto":
        return Every()
    if isinstance(value, str) and value.strip().endswith("%"):
        return Every(overhead=_share(value))
    if not isinstance(value, str):
        steps = whole("every", value)  # a float might mean either: steps or seconds
        if steps < 1:
            raise UsageError(f"every={value}: expected at least 1 step")
        return Every(steps=steps)
    seconds_s = parse_duration(value)
    if seconds_s <= 0:
        raise UsageError(f"every={value!r}: expected more than 0 seconds")
    return Every(seconds_s=seconds_s)


def _share(text: str) -> float:
    try:
        share = float(text.strip().removesuffix("%")) / 100
    except ValueError:
        share = math.nan
    if 0 < share < 1:
        return share
    raise UsageError(f"every={text!r}: expected an overhead above 0% and below 100%")


def known_rate(mtbf_s: float) -> Rate:
    """Return the rate that somebody knows: one interruption without notice in `mtbf_s` seconds of running."""
    return Rate(per_s=1 / mtbf_s, events=0, exposure_s=0.0, is_known=True)


def learned_rate(events: int, exposure_s: float, *, prior_mtbf_s: float = PRIOR_MTBF_S, weight: float = 1.0) -> Rate:
    """Return the rate that the past makes likely: a gamma prior of `weight` events in `weight * prior_mtbf_s`."""
    per_s = (events + weight) / (exposure_s + weight * prior_mtbf_s)
    return Rate(per_s=per_s, events=events, exposure_s=exposure_s)


def optimum_s(cost_s: float, mtbf_s: float) -> float:
    """Return the work between two saves that minimises the expected time, exactly.

    tau = M (1 + W0(-exp(-cost/M - 1))), the minimum of M e^(R/M) (e^((tau+cost)/M) - 1) / tau, by Newton on
    f(x) = (1 - x) e^x - e^(-cost/M) with x = tau/M in (0, 1).
    """
    if cost_s <= 0:
        return 0.0
    return _newton(cost_s / mtbf_s) * mtbf_s


def _newton(ratio: float) -> float:
    if ratio < _SERIES_BELOW:
        return math.sqrt(2 * ratio)
    target = -math.expm1(-ratio)  # 1 - e^-ratio, and below 1 - (1 - x) e^x: written so that small numbers stay exact
    x = min(0.999, math.sqrt(2 * ratio))
    for _ in range(_NEWTON_STEPS):
        value = target - (x * math.exp(x) - math.expm1(x))
        step = value / (x * math.exp(x))
        x = min(1.0, max(x / 2, x + step))
        if abs(step) <= 1e-14 * x:
            break
    return x


def plan(every: Every, costs: Costs, rate: Rate) -> Plan:
    """Decide when the next save is due."""
    if every.steps is not None:
        return Plan(steps=every.steps, reason=f"every {every.steps} steps, as asked")
    if every.seconds_s is not None:
        return Plan(seconds_s=every.seconds_s, reason=f"every {format_duration(every.seconds_s)}, as asked")
    if costs.blocked_s is None:
        return Plan(seconds_s=FIRST_S, reason=f"after {format_duration(FIRST_S)}, to learn what a save costs")
    return _auto(costs.blocked_s, costs.latency_s or 0.0, rate, every.overhead)


def _auto(cost_s: float, latency_s: float, rate: Rate, overhead: float) -> Plan:
    mtbf_s = 1 / rate.per_s
    best_s = optimum_s(cost_s, mtbf_s)
    bounds = [
        (best_s, "optimum") if best_s <= LONGEST_S else (LONGEST_S, "the longest interval"),
        (cost_s * (1 - overhead) / overhead, f"at most {overhead * 100:.3g}% overhead"),
        (latency_s, "a save must be durable before the next"),
        (SHORTEST_S, "the shortest interval"),
    ]
    seconds_s, why = max(bounds)
    seen = "as given" if rate.is_known else f"{rate.events} in {format_duration(rate.exposure_s)} seen"
    reason = (
        f"every {format_duration(seconds_s)}: {why}, for a save that costs {format_duration(cost_s)} "
        f"and one failure in {format_duration(mtbf_s)} ({seen})"
    )
    return Plan(seconds_s=seconds_s, reason=reason)
