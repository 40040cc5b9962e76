"""What a user asks of a drill."""

from __future__ import annotations

from dataclasses import dataclass, field

from outlast.drill.compare import Terms
from outlast.drill.faults import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be drilled.

    Args:
        command: the program and its arguments.
        folder: where it is at home.
        faults: what is to be done to it.
        named: the user has named these faults: try them also where they say little.
        seed: for the draws.
        kills: how often what kills strikes in its run.
        results: patterns of files that are compared, relative to the folder.
        checkpoints: patterns of the program's own checkpoint files.
        stdout: compare what it prints.
        terms: what counts as equal.
        copy, link, leave_out: see `origin.survey`.
        place: where the runs' folders go, and stay; None: they are removed.
        limit_s: what takes longer hangs; None: ten times as long as undisturbed, and a minute.
        budget_s: start no further fault where it is not likely to be done by then.
        jobs: so many runs at once.
    """

    command: tuple[str, ...]
    folder: str
    faults: tuple[Fault, ...]
    named: bool = False
    seed: int = 1
    kills: int = 3
    results: tuple[str, ...] = ()
    checkpoints: tuple[str, ...] = ()
    stdout: bool = False
    terms: Terms = field(default_factory=Terms)
    copy: tuple[str, ...] | None = None
    link: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    place: str | None = None
    limit_s: float | None = None
    budget_s: float | None = None
    jobs: int = 1
