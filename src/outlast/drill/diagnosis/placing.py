"""Where an attempt goes on: at the step after the one whose state it has, or elsewhere."""

from __future__ import annotations

import os
from collections.abc import Sequence

from outlast.drill.diagnosis.catalogue import found
from outlast.drill.diagnosis.finding import Finding, Wound
from outlast.drill.diagnosis.reference import Reference, Resumed, common
from outlast.drill.trace.model import Attempt, Load, Save

_FALLS_BACK: tuple[Wound, ...] = ("damage", "kill-in-save", "full-disk")


def misplaced(reference: Reference, earlier: Sequence[Attempt], now: Resumed, wound: Wound) -> Finding | None:
    """Say that an attempt goes on at the wrong step, or from the state of no one step."""
    first = now.first
    if first is None or reference.by == "run":
        return None
    if now.parts and not now.state:
        return _mixed(now)
    older = _older(reference, earlier, now, wound)
    if older is not None or not now.state or reference.by == "optimizer":
        return older
    wanted = sorted(number for number in map(reference.after, now.state) if number is not None)
    if not wanted or first in wanted:
        return None
    last = max(now.state)
    if first < wanted[0]:
        text = f"step {first} was done twice: the program resumes at the saved step, not after it"
        if first not in now.state:
            text = f"steps {first} to {last} were done twice: the state is that after step {last}"
        return found("step-twice", text, step=first)
    text = f"step {wanted[-1]} was skipped: the state is that after step {last}, and the program goes on at {first}"
    return found("step-skipped", text, step=wanted[-1])


def _mixed(now: Resumed) -> Finding:
    files = {os.path.basename(load.path) for load in now.attempt.of(Load) if load.leaves}
    parts = [f"{path} of step {max(steps)}" for path, steps in now.parts.items()]
    shown = ", ".join(dict.fromkeys(parts[:6]))
    best = next((name for name in sorted(files) if "best" in name.lower()), None)
    if best:
        return found(
            "best-not-last", f"it goes on from the best state ({best}), not from the newest: {shown}", step=now.first
        )
    if len(files) > 1:
        text = f"the files {', '.join(sorted(files))} are of different steps ({shown}): nothing commits them together"
        return found("several-files", text, step=now.first)
    text = f"one checkpoint holds different steps ({shown}): the state went on changing while it was written"
    return found("mixed-steps", text, step=now.first)


def _older(reference: Reference, earlier: Sequence[Attempt], now: Resumed, wound: Wound) -> Finding | None:
    """Say that an older checkpoint was taken than the newest one, where that is not a fallback."""
    if wound in _FALLS_BACK or not now.state or any(load.error for load in now.attempt.of(Load)):
        return None
    saved = [common(reference.states_of(save.leaves).values()) for attempt in earlier for save in attempt.of(Save)]
    newest = max((max(steps) for steps in saved[:-1] if steps), default=0)  # the last may not have come to its end
    mine = max(now.state)
    if mine >= newest:
        return None
    name = next((os.path.basename(load.path) for load in now.attempt.of(Load) if load.leaves), "what it loads")
    if "best" in name.lower():
        text = f"it goes on from the best state ({name}, of step {mine}), not from the newest (step {newest})"
        return found("best-not-last", text, step=now.first)
    text = f"it goes on from {name}, of step {mine}, though step {newest} had been saved"
    return found("other-checkpoint", text, step=now.first)
