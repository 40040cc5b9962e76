"""A trace as values: the attempts of a run, and what happened in each, in order. No file is read here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

Leaves = Mapping[str, str]
By = Literal["note", "run", "line", "optimizer"]
BYS: tuple[By, ...] = ("note", "run", "line", "optimizer")  # the best first
_Event = TypeVar("_Event")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A completed step.

    Args:
        step: its number, as the program counts (by `optimizer`: updates in this process, from 1).
        by: who told it.
        leaves: path -> value, after the step.
        batches: digests of the batches that were handed to the program since the step before.
        before: path -> value before the first update of this process (by `optimizer` only).
    """

    step: int
    by: By
    leaves: Leaves = field(default_factory=dict)
    batches: tuple[str, ...] = ()
    before: Leaves = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Save:
    """Something written as a whole. `in_handler`: by a signal handler."""

    path: str
    how: str
    leaves: Leaves = field(default_factory=dict)
    in_handler: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Something read as a whole, or the error that came of it."""

    path: str
    how: str
    leaves: Leaves = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOp:
    """A change of a file or folder. `was`: what was opened for writing existed and was not empty."""

    op: str
    path: str
    to: str = ""
    was: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A question whether something is there."""

    path: str
    found: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An object whose state moves with the program. `in_state`: it is saved, as far as can be told."""

    name: str
    kind: str
    in_state: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """The state of an object was taken (`asked`) or put back (`given`)."""

    name: str
    kind: str
    way: Literal["asked", "given"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """An outlast Run has gone on from a checkpoint."""

    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """A signal handler was set."""

    signal: int
    name: str


Event = Step | Save | Load | FileOp | Look | Held | Moved | Restored | Handler


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt: of its processes the one that did the steps (of several ranks the lowest), else the first.

    Args:
        key: what tells it from others.
        events: what happened, in order.
        ended: it came to the end of its program.
        problems: probes that failed.
        operations: how many storage operations were counted.
    """

    key: str
    events: tuple[Event, ...] = ()
    ended: bool = False
    problems: tuple[str, ...] = ()
    operations: int = 0

    def of(self, kind: type[_Event]) -> Iterator[_Event]:
        """Yield the events of one kind, in order."""
        return (event for event in self.events if isinstance(event, kind))

    def steps(self, by: By | None) -> tuple[Step, ...]:
        """Return the steps that one source told."""
        return tuple(step for step in self.of(Step) if step.by == by)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """All attempts of one run.

    Args:
        attempts: in order.
        kinds: path -> kind of leaf.
        is_recorded: a recorder was in the program. Otherwise nothing is known of its saves and loads.
    """

    attempts: tuple[Attempt, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    is_recorded: bool = True

    @property
    def by(self) -> By | None:
        """Who tells the steps best; None if nobody did."""
        told = {step.by for attempt in self.attempts for step in attempt.of(Step)}
        return next((by for by in BYS if by in told), None)

    @property
    def operations(self) -> int:
        """How many storage operations there were: the places for OUTLAST_TRACE_KILL=op:K."""
        return sum(attempt.operations for attempt in self.attempts)

    @property
    def saves(self) -> int:
        """How many saves there were: the places for OUTLAST_TRACE_KILL=save:K."""
        return sum(1 for attempt in self.attempts for _ in attempt.of(Save))
