"""What is done to a training, and whether it comes out as if nothing had been done.

A wound is a number of steps after which an attempt ends itself, by SIGKILL or by a notice. A program counts its own
steps with `Wound`, wherever its framework lets it.
"""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from integrations.nursery import Nursery

_MOST_ATTEMPTS = 60


class Wound:
    """Ends the attempt when it has been told of enough steps.

    Args:
        after: steps; 0: never.
        by: the name of the signal. A notice goes to the whole process group, as a batch system sends it.
        within: which steps are counted.
    """

    def __init__(self, after: int, by: str, within: str = "training") -> None:
        self._after, self._number, self._within = after, signal.Signals[by], within

    def step(self, of: str = "training") -> None:
        if of != self._within:
            return
        self._after -= 1
        if self._after == 0 and self._number == signal.SIGKILL:
            os.kill(os.getpid(), self._number)
        elif self._after == 0:
            os.killpg(0, self._number)


def wounds(seed: int, count: int, longest: int) -> Iterator[dict[str, Any]]:
    """Yield `count` wounds, and then none for ever."""
    drawn = random.Random(seed)
    for _ in range(count):
        yield {"after": drawn.randint(1, longest), "by": drawn.choice(["SIGKILL", "SIGKILL", "SIGTERM", "SIGUSR1"])}
    while True:
        yield {"after": 0, "by": "SIGKILL"}


def outcome(
    nursery: Nursery, folder: Path, name: str, wounded: Iterator[dict[str, Any]], **arguments: Any
) -> tuple[dict[str, Any], list[int]]:
    """Run attempts until one is done; return what it has written as its result, and how each ended."""
    log, result = folder / f"{name}.log", folder / f"{name}.json"
    statuses: list[int] = []
    for wound in wounded:
        statuses.append(nursery.attempt(log, store=str(folder / name), result=str(result), **wound, **arguments))
        assert statuses[-1] in (0, 85, -signal.SIGKILL), log.read_text()[-6000:]
        assert len(statuses) < _MOST_ATTEMPTS, "it makes no progress"
        if statuses[-1] == 0:
            break
    return json.loads(result.read_text()), statuses
