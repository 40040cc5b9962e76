"""What the undisturbed runs have shown: the results to come to, how fast it goes, what is not the same twice."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from outlast.drill import causes, diagnosis, results
from outlast.drill.compare import Difference, Terms, compare, is_clocked
from outlast.drill.diagnosis import Finding
from outlast.drill.order import Order
from outlast.drill.origin import Origin
from outlast.drill.place import Place
from outlast.drill.record import Pace, Ran
from outlast.drill.results import Results
from outlast.drill.trace import Load, Trace
from outlast.errors import UsageError
from outlast.format.ranks import owner
from outlast.policy.restart import describe

_LAST_WORDS = 500
_MOST_NAMES = 8
_NOT_STARTED = {126: "it, or what it calls, cannot be executed", 127: "it, or what it calls, was not found"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What wounded runs are compared with.

    Args:
        results: to come to.
        pace: how fast it goes.
        trace: of the recorder.
        noise: what differs between the traces of two undisturbed runs.
        varying: what differs between their results.
        terms: what counts as equal; what varies is ignored.
        finding: why they differ, if they do.
        leftovers: files of the user's folder that it began with, and that earlier runs may have left.
    """

    results: Results
    pace: Pace
    trace: Trace
    noise: frozenset[str]
    varying: tuple[Difference, ...]
    terms: Terms
    finding: Finding | None = None
    leftovers: tuple[str, ...] = ()

    @property
    def is_harmless(self) -> bool:
        """Say whether nothing varies but generators that the program has not seeded, and what a clock measures."""
        return all(is_clocked(one.name) or self._is_generator(one.name) for one in self.varying)

    def _is_generator(self, name: str) -> bool:
        states = self.results.states
        for store, state in states.items():
            path = name.removeprefix(f"{store}:") if len(states) > 1 else name
            owned = owner(path)
            if (owned[1] if owned else path).partition("/")[0] in state.generators:
                return True
        return False

    @property
    def caveats(self) -> tuple[str, ...]:
        """Return what the runs cannot show, in sentences."""
        said = []
        if names := self.leftovers:
            more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
            there = f"{', '.join(names[:_MOST_NAMES])}{more}"
            said.append(
                f"Each run began with {there}, from your folder: if earlier runs left that, name it with --checkpoints."
            )
        if not self.pace.takes_part and not any(attempt.steps(self.trace.by) for attempt in self.trace.attempts):
            said.append("No step of it was seen: whether it goes on after a fault, or begins anew, is not shown.")
        return tuple(said)

    @property
    def compared(self) -> int:
        """Return how many things are compared."""
        found = self.results
        states = sum(len(one.leaves) + len(one.values) + len(one.metrics) for one in found.states.values())
        return states + len(found.files) + bool(found.lines) - len(self.varying)


def learn(order: Order, origin: Origin, first: tuple[Place, Ran], second: tuple[Place, Ran]) -> Reference:
    """Learn from two undisturbed runs.

    Raises:
        UsageError: one failed, or there is nothing to compare.
    """
    for run in (first, second):
        _check(origin, *run)
    (place, ran), (other, other_ran) = first, second
    expected, again = _results(order, origin, place), _results(order, origin, other)
    varying = compare(expected, again, order.terms, more_output=False)
    trace, twin = causes.read(place, ran), causes.read(other, other_ran)
    noise = diagnosis.noisy(trace, twin)
    hidden = tuple(one.name for one in varying)
    return Reference(
        results=expected,
        pace=replace(
            ran.pace,
            disk_bytes=_size(place.disk),
            saves=trace.saves,
            operations=trace.operations,
            steps=_steps(trace),
        ),
        trace=trace,
        noise=noise,
        varying=varying,
        terms=replace(order.terms, exactly=hidden),
        finding=causes.find(trace, other, other_ran, varying, wound="none") if varying else None,
        leftovers=_leftovers(origin, place, trace),
    )


def _steps(trace: Trace) -> tuple[int, ...]:
    """Return the steps at which a run can be struck: what the recorder tells as they come, not what was printed."""
    if not trace.is_recorded:
        return ()
    return tuple(step.step for attempt in trace.attempts for step in attempt.steps(trace.by))


def _leftovers(origin: Origin, place: Place, trace: Trace) -> tuple[str, ...]:
    """Return what was there and was written anew; and where no step was done what was loaded: it may say so."""
    loads = {os.path.relpath(load.path, place.work) for attempt in trace.attempts for load in attempt.of(Load)}
    is_idle = trace.is_recorded and not any(attempt.steps(trace.by) for attempt in trace.attempts)
    return tuple(name for name in origin.files if origin.is_changed(name, place.work) or (is_idle and name in loads))


def _size(folder: str) -> int:
    paths = (os.path.join(at, name) for at, _, names in os.walk(folder) for name in names)
    return sum(os.lstat(path).st_size for path in paths)


def _check(origin: Origin, place: Place, ran: Ran) -> None:
    if touched := origin.touched():
        hint = "the drill runs it in copies of its folder: have it use relative paths, or os.environ['OUTLAST_STORE']"
        text = f"the program writes outside of its copy, to {touched[0]} in {origin.folder}"
        raise UsageError(text, hint=hint)
    if ran.hung:
        raise UsageError("the undisturbed run did not end in time", hint="see --timeout")
    if ran.status:
        with open(place.stderr, encoding="utf-8", errors="replace") as file:
            said = file.read().strip()[-_LAST_WORDS:]
        hint = f"it ran in a copy of {origin.folder}: see --copy, --link\n{said}"
        why = f": {_NOT_STARTED[ran.status]}" if ran.status in _NOT_STARTED else ""
        text = f"the program does not work undisturbed: it ended with {describe(ran.status)}{why}"
        raise UsageError(text, hint=hint.rstrip())


def _results(order: Order, origin: Origin, place: Place) -> Results:
    found = results.collect(place, order.results, stdout=order.stdout)
    for pattern in order.results:
        if not results.matches(place, pattern):
            raise UsageError(f"--compare {pattern}: the undisturbed run left no such file")
    if not found.states and not found.files and not found.lines:
        left = results.made(place, origin)
        named = f"it left {', '.join(left[:_MOST_NAMES])}" if left else "it left no file"
        hint = f"name the files with its results: --compare 'out/*.csv' ({named}); or --stdout"
        raise UsageError("there is nothing to compare: the program has no store of outlast", hint=hint)
    return found
