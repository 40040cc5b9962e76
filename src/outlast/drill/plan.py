"""Which strike a fault is for this program, by what its undisturbed run has shown. Draws are seeded."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from outlast.drill import disk, faults, strikes, wounds
from outlast.drill.faults import Fault
from outlast.drill.record import Pace
from outlast.drill.strikes import Strike

_MOST_DISK_BYTES = 256 << 20
_TINY_S = 0.3  # of work: no signal of ours comes in time
_SOONER = (1.0, 0.5, 0.2)  # a run that was done before it could be struck is struck sooner


class NotPossible(Exception):  # noqa: N818  (no error: there is nothing of the kind to be struck)
    """This fault cannot happen to this program."""


def strike(fault: Fault, pace: Pace, *, seed: int, kills: int, checkpoints: Sequence[str], round_: int = 0) -> Strike:
    """Return what a fault does to a program.

    Args:
        fault: its kind.
        pace: how the undisturbed run went.
        seed: for all draws: the same one strikes at the same places again.
        kills: how often what kills strikes.
        checkpoints: patterns of the program's own checkpoint files.
        round_: how often the run was done before it could be struck.

    Raises:
        NotPossible: with the reason.
    """
    chance = random.Random(f"{seed}/{fault.name}/{round_}")  # noqa: S311  (repeatable is what it must be)
    share = _SOONER[min(round_, len(_SOONER) - 1)]
    steps = pace.steps[: math.ceil(share * len(pace.steps))]
    pace = replace(pace, lasted_s=pace.ready_s + pace.works_s * share, steps=steps)
    match fault:
        case faults.KILL:
            if pace.works_s < _TINY_S and len(set(pace.steps)) > 2:  # noqa: PLR2004  (the first, the last, and more)
                return _at_step(pace, chance)
            return strikes.Kill(pace, chance, times=kills)
        case faults.STEP:
            return _at_step(pace, chance)
        case faults.SAVE:
            return _in_save(pace, chance, kills)
        case faults.NOTICE | faults.GROUP:
            return strikes.Notice(pace, chance, everybody=fault is faults.GROUP)
        case faults.LIMIT:
            return strikes.Limit(pace, chance)
        case faults.FULL:
            return _full_disk(pace, chance)
        case faults.DAMAGE:
            if not pace.calls and not checkpoints:
                raise NotPossible("name its checkpoints: --checkpoints 'ckpt/*.npz'")
            return wounds.Damage(pace, chance, checkpoints)
        case faults.NODE:
            return wounds.Node(pace, chance)
        case faults.TWICE:
            return wounds.Twice(pace, chance)
    assert fault is faults.AGAIN
    return strikes.Again()


TOGETHER = (faults.KILL, faults.NOTICE, faults.DAMAGE, faults.SAVE, faults.AGAIN)


def together(pace: Pace, *, seed: int) -> tuple[Strike, ...]:
    """Return strikes of these five kinds for one run, one after the other, in the order of `TOGETHER`."""
    chance = random.Random(f"{seed}/together")  # noqa: S311
    low, high = strikes.WINDOW
    cuts = [low + (high - low) * number / 4 for number in range(5)]
    first, second, third, fourth = pairwise(cuts)
    way = strikes.Way()
    return (
        strikes.Kill(pace, chance, window=first, way=way),
        strikes.Notice(pace, chance, everybody=False, window=second, way=way),
        wounds.Damage(pace, chance, (), window=third, way=way),
        strikes.Called(pace, chance, times=1, window=fourth, way=way),
        strikes.Again(),
    )


def _full_disk(pace: Pace, chance: random.Random) -> Strike:
    """Return a real disk that is filled, where there can be one. Our library refuses a namespace of foreign users."""
    why_not = "it is too large for memory" if pace.disk_bytes > _MOST_DISK_BYTES else ""
    if not why_not and (os.geteuid() == 0 or not pace.calls):
        why_not = disk.why_not()
        if not why_not:
            return wounds.FullDisk(pace, chance, is_real=True)
    if not pace.calls:
        raise NotPossible(f"no small disk can be made here: {why_not}")
    return wounds.FullDisk(pace, chance, is_real=False)


def _at_step(pace: Pace, chance: random.Random) -> Strike:
    steps = sorted(set(pace.steps))[:-1]
    if len(steps) > 1:
        step = steps[len(steps) // 4 + chance.randrange(max(1, len(steps) // 2))]
        return strikes.Recorded(f"step:{step}", f"SIGKILL when step {step} was complete")
    commits = sorted({step for _, step in pace.commits})[:-1]
    if commits:
        return strikes.Committed(chance.choice(commits))
    raise NotPossible("its steps are not known")


def _in_save(pace: Pace, chance: random.Random, kills: int) -> Strike:
    if pace.calls:
        return strikes.Called(pace, chance, times=kills)
    if pace.saves:
        number = _not_the_first(pace.saves, chance)
        return strikes.Recorded(f"save:{number}", f"SIGKILL half-way through save {number}")
    if pace.operations:
        number = _not_the_first(pace.operations, chance)
        return strikes.Recorded(f"op:{number}", f"SIGKILL at storage operation {number}")
    if pace.changes:
        return strikes.Changed(pace, chance)
    raise NotPossible("it wrote no file")


def _not_the_first(count: int, chance: random.Random) -> int:
    """Draw one of so many, counted from 1: in the first save nothing is there to be lost."""
    return 1 if count == 1 else 2 + chance.randrange(count - 1)
