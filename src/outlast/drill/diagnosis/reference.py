"""The undisturbed run, prepared for questions: which step comes after which, and of which step a state is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from os.path import basename

from outlast.drill.trace.model import Attempt, Leaves, Load, Restored, Step, Trace

_EXCUSED = ("start", "first", "resum", "begin", "restor", "loaded", "ckpt", "checkpoint", "saved", "done", "path")
_TIMES = ("time", "elapsed", "eta", "seconds", "secs", "speed", "per_s", "mem")
_SAYS_NOTHING = ("counter", "text", "")
_DIGEST = ("#", "~")


class Reference:
    """Answers questions about an undisturbed run.

    Args:
        trace: its trace.
        noisy: paths that differ between two undisturbed runs: they say nothing.
    """

    def __init__(self, trace: Trace, noisy: Collection[str] = ()) -> None:
        self.trace, self._noisy = trace, noisy
        self.by = trace.by
        found = [step for attempt in trace.attempts for step in attempt.steps(self.by)]
        self.steps: Mapping[int, Step] = {step.step: step for step in found}
        self.numbers = tuple(self.steps)
        self._places = {number: place for place, number in enumerate(self.numbers)}

    @property
    def first(self) -> int | None:
        """The first step."""
        return self.numbers[0] if self.numbers else None

    @property
    def start(self) -> Leaves:
        """What there was before the first update, where that was told."""
        return next((step.before for step in self.steps.values() if step.before), {})

    def after(self, number: int) -> int | None:
        """Return the step that comes after one; None after the last."""
        return self._beside(number, 1)

    def before(self, number: int) -> int | None:
        """Return the step that comes before one; None before the first."""
        return self._beside(number, -1)

    def _beside(self, number: int, by: int) -> int | None:
        place = self._places[number] + by if number in self._places else -1
        return self.numbers[place] if 0 <= place < len(self.numbers) else None

    @cached_property
    def changing(self) -> frozenset[str]:
        """The paths whose value changes from step to step."""
        seen: dict[str, str] = dict(self.start)
        found = set()
        for step in self.steps.values():
            for path, text in step.leaves.items():
                if seen.setdefault(path, text) != text:
                    found.add(path)
        return frozenset(found)

    @cached_property
    def _where(self) -> dict[str, set[int]]:
        """Digest -> the steps after which something that changes had it."""
        found: dict[str, set[int]] = {}
        for step in self.steps.values():
            for path, text in step.leaves.items():
                if text.startswith(_DIGEST) and path in self.changing:
                    found.setdefault(text, set()).add(step.step)
        return found

    def kind(self, path: str) -> str:
        """Return the kind of a leaf."""
        return self.trace.kinds.get(path, "")

    def values(self, path: str) -> list[tuple[int, str]]:
        """Return the step and the value of a leaf after it, for all steps."""
        return [(step.step, step.leaves[path]) for step in self.steps.values() if path in step.leaves]

    def differing(self, number: int, leaves: Leaves) -> list[str]:
        """Return the paths that differ from the undisturbed run after a step, and say something."""
        mine = self.steps[number].leaves
        return [path for path in mine if path in leaves and mine[path] != leaves[path] and self._matters(path)]

    def _matters(self, path: str) -> bool:
        name = path.rpartition(":")[2].partition("/")[0].lower()
        if path in self._noisy or name.startswith((*_EXCUSED, *_TIMES)) or self.kind(path) in _SAYS_NOTHING:
            return False
        return self.kind(path) != "rng" or path in self.changing

    def states_of(self, leaves: Leaves) -> dict[str, frozenset[int]]:
        """Return, for the leaves of a state that can be placed, the steps that each may be of."""
        return {path: frozenset(self._where[text]) for path, text in leaves.items() if text in self._where}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """A later attempt, seen against the undisturbed run.

    Args:
        attempt: its trace.
        steps: its steps, by their number in the undisturbed run.
        state: the steps that the state it went on from may be of; empty if that is not known, or no one step.
        parts: leaf by leaf, the steps that each loaded leaf may be of.
        loaded: all leaves that were loaded, by the file's name, a colon, and their path.
        is_fresh: it began where the undisturbed run began.
    """

    attempt: Attempt
    steps: Mapping[int, Step] = field(default_factory=dict)
    state: frozenset[int] = frozenset()
    parts: Mapping[str, frozenset[int]] = field(default_factory=dict)
    loaded: Leaves = field(default_factory=dict)
    is_fresh: bool = False

    @property
    def first(self) -> int | None:
        """Its first step."""
        return next(iter(self.steps), None)


def resumed(reference: Reference, attempt: Attempt) -> Resumed:
    """Return an attempt as it stands to the undisturbed run."""
    steps = attempt.steps(reference.by)
    loaded = _loaded(attempt)
    parts = reference.states_of(loaded)
    state = common(parts.values())
    restored = next(attempt.of(Restored), None)
    if restored is not None:
        state = frozenset({restored.step})
    base, is_fresh = 0, bool(steps) and restored is None and steps[0].step == reference.first
    if reference.by == "optimizer" and steps:
        weights = {path: text for path, text in steps[0].before.items() if reference.kind(path) == "parameter"}
        are_first = all(reference.start.get(path) == text for path, text in weights.items())
        is_fresh = restored is None and bool(weights) and are_first
        placed = common(reference.states_of(weights).values())  # a run's own steps may be other than updates
        state = state & placed or placed or state
        base = 0 if is_fresh else max(state, default=0)
        steps = steps if is_fresh or state else ()  # where they belong is not known
    return Resumed(
        attempt=attempt,
        steps={base + step.step if reference.by == "optimizer" else step.step: step for step in steps},
        state=state,
        parts=parts,
        loaded=loaded,
        is_fresh=is_fresh,
    )


def _loaded(attempt: Attempt) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, load in enumerate(attempt.of(Load)):
        for path, text in load.leaves.items():
            key = f"{basename(load.path)}:{path}"
            found[f"{key} ({number + 1})" if key in found else key] = text
    return found


def common(sets: Iterable[frozenset[int]]) -> frozenset[int]:
    """Return what is in each of the sets; nothing if there are none."""
    return frozenset.intersection(*found) if (found := list(sets)) else frozenset()
