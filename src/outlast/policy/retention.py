"""Which checkpoints to keep. Pure: a list in, a decision with its reasons out; `store.prune` carries it out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from outlast.errors import UsageError
from outlast.units import format_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """A retention rule. What any of newest, every, best keeps is kept; the budgets then take from the oldest.

    Args:
        newest: the newest so many, at least 1.
        every: also those whose step is a multiple of this.
        best: also the best by a metric: "accuracy" (the highest), "-loss" (the lowest).
        best_count: how many of the best.
        bytes: at most so many bytes on storage in all.
        files: at most so many files in all.
    """

    newest: int = 3
    every: int | None = None
    best: str | None = None
    best_count: int = 1
    bytes: int | None = None
    files: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("newest", 1), ("every", 1), ("best_count", 1), ("bytes", 0), ("files", 0)):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < least):
                raise UsageError(f"keep: {name}={value!r}, expected a whole number from {least}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A checkpoint as retention sees it.

    Args:
        name: its name.
        step: its step.
        files: what it needs, its manifest included: paths with their sizes in bytes. Several may need the same file.
        metrics: its metrics.
        good: verified or just written (True), known to be damaged (False), unknown (None).
        done: the run was done with it.
    """

    name: str
    step: int
    files: Mapping[str, int]
    metrics: dict[str, float]
    good: bool | None = None
    done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """What to keep and to remove, by name, newest first, and why."""

    keep: tuple[str, ...]
    remove: tuple[str, ...]
    reasons: dict[str, str]


def parse_keep(value: int | Keep) -> Keep:
    """Return a rule: a number keeps the newest so many. Raises UsageError."""
    if isinstance(value, Keep):
        return value
    if type(value) is not int:
        raise UsageError(f"keep={value!r}: expected a whole number from 1, or outlast.Keep")
    return Keep(newest=value)


def decide(rule: Keep, held: Sequence[Held]) -> Retention:
    """Decide on checkpoints, given newest first.

    Never removes the newest, nor the newest good one if the newest is not known to be good.
    """
    reasons = _wanted(rule, held)
    spared = _spared(held)
    for name in spared:
        reasons.setdefault(name, "the last good one")
    _apply_budget(rule, held, reasons, spared)
    keep = tuple(one.name for one in held if one.name in reasons)
    remove = tuple(one.name for one in held if one.name not in reasons)
    for name in remove:
        reasons[name] = "not kept by " + _describe(rule)
    return Retention(keep=keep, remove=remove, reasons=reasons)


def _wanted(rule: Keep, held: Sequence[Held]) -> dict[str, str]:
    reasons = {one.name: f"among the newest {rule.newest}" for one in held[: rule.newest]}
    for one in held:
        if rule.every and one.step % rule.every == 0:
            reasons.setdefault(one.name, f"step is a multiple of {rule.every}")
    for one in _best(rule, held):
        reasons.setdefault(one.name, f"best by {rule.best}")
    return reasons


def _best(rule: Keep, held: Sequence[Held]) -> list[Held]:
    if rule.best is None:
        return []
    metric, sign = rule.best.lstrip("-"), 1 if rule.best.startswith("-") else -1
    measured = [one for one in held if not math.isnan(one.metrics.get(metric, math.nan))]
    ranked = sorted(measured, key=lambda one: sign * one.metrics[metric])
    return ranked[: rule.best_count]


def _spared(held: Sequence[Held]) -> set[str]:
    """Return what no rule may remove: the newest, and the newest that is good (or at least not known bad)."""
    if not held:
        return set()
    good = next((one for one in held if one.good), None)
    possible = next((one for one in held if one.good is None), None)
    return {held[0].name} | {one.name for one in (good or possible,) if one}


def _apply_budget(rule: Keep, held: Sequence[Held], reasons: dict[str, str], spared: set[str]) -> None:
    """Drop the oldest while the budgets are exceeded."""
    for one in reversed(held):
        over = _over(rule, [h for h in held if h.name in reasons])
        if over and one.name in reasons and one.name not in spared:
            del reasons[one.name]
    left = _over(rule, [h for h in held if h.name in reasons])
    if left and held:
        reasons[held[0].name] = f"never removed, though {left}"


def _over(rule: Keep, kept: list[Held]) -> str:
    files = {path: size for one in kept for path, size in one.files.items()}  # a shared part counts once
    size = sum(files.values())
    if rule.bytes is not None and size > rule.bytes:
        return f"the budget is {format_size(rule.bytes)} and {format_size(size)} are left"
    if rule.files is not None and len(files) > rule.files:
        return f"the budget is {rule.files} files and {len(files)} are left"
    return ""


def _describe(rule: Keep) -> str:
    words = [f"newest {rule.newest}"]
    words += [f"every {rule.every}"] if rule.every else []
    words += [f"best {rule.best}"] if rule.best else []
    words += ["the byte budget"] if rule.bytes is not None else []
    words += ["the file budget"] if rule.files is not None else []
    return ", ".join(words)
