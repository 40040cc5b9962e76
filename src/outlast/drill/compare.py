"""Two runs compared: what differs, in the user's names, the first place first."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from outlast.drill import bundles, contents
from outlast.drill.results import Results, State

_CLOCKED = ("*_seconds", "*runtime", "*_per_second", "*wall_time", "*wall_times")
Kind = Literal["steps", "state", "value", "metric", "file", "output"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something that is not as in the undisturbed run.

    Args:
        kind: of what.
        name: a leaf's, a metric's, a file's.
        text: how it differs, for people.
        step: from which step on, where that is known.
    """

    kind: Kind
    name: str
    text: str
    step: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What counts as equal.

    Args:
        tolerance: relative and absolute, for floating-point numbers; 0 is bit by bit.
        ignore: patterns of names that are not compared.
        exactly: names that are not compared.
    """

    tolerance: float = 0.0
    ignore: tuple[str, ...] = ()
    exactly: tuple[str, ...] = ()

    def holds(self, name: str) -> bool:
        """Say whether something is compared."""
        return name not in self.exactly and not any(fnmatch.fnmatch(name, pattern) for pattern in self.ignore)


def is_clocked(name: str) -> bool:
    """Say whether something is called as what a clock measures: no two runs agree in it."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in _CLOCKED)


def compare(expected: Results, found: Results, terms: Terms, *, more_output: bool = True) -> tuple[Difference, ...]:
    """Return what differs.

    Args:
        expected: the undisturbed run.
        found: another one.
        terms: what counts as equal.
        more_output: it may have printed lines twice, since it did steps twice.
    """
    differences: list[Difference] = []
    for name in sorted(expected.states.keys() | found.states.keys()):
        before, after = expected.states.get(name), found.states.get(name)
        if before is None or after is None:
            text = "is missing" if after is None else "is not in the undisturbed run"
            differences.append(Difference(kind="state", name=name, text=f"the store {text}"))
            continue
        prefix = f"{name}:" if len(expected.states) > 1 else ""
        differences += _of_states(before, after, terms, prefix)
    differences += _files(expected, found, terms)
    differences += _output(expected.lines, found.lines, more_output=more_output)
    return tuple(one for one in differences if terms.holds(one.name))


def _of_states(before: State, after: State, terms: Terms, prefix: str) -> Iterator[Difference]:
    yield from _metrics(before, after, terms, prefix)
    if (before.step, before.done) != (after.step, after.done):
        done = {True: "done", False: "not done"}
        text = f"{after.step} steps, {done[after.done]}; expected {before.step}, {done[before.done]}"
        yield Difference(kind="steps", name=f"{prefix}(steps)", text=text)
    told = dict(_in_bundles(before, after, terms))
    passed = {f"{path}/{part}" for path in told for part in bundles.FILES}
    for name in sorted((before.leaves.keys() | after.leaves.keys()) - passed):
        if text := contents.leaf(before, after, name, terms.tolerance):
            yield Difference(kind="state", name=prefix + name, text=text)
    for path, tensors in told.items():
        for tensor, text in tensors.items():
            yield Difference(kind="state", name=f"{prefix}{path}/{tensor}", text=text)
    for name in sorted((before.values.keys() | after.values.keys()) - passed):
        old, new = before.values.get(name), after.values.get(name)
        if old != new and not _is_near(old, new, terms.tolerance):
            yield Difference(kind="value", name=prefix + name, text=f"{_short(new)}, expected {_short(old)}")


def _in_bundles(before: State, after: State, terms: Terms) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the checkpoints of TensorFlow that are not the same to the byte, and which of their tensors differ."""
    for path in sorted(before.bundles.keys() & after.bundles.keys()):
        if any(_parts(before, path, name) != _parts(after, path, name) for name in bundles.FILES):
            tensors = bundles.differing(before, after, path, terms.tolerance)
            if tensors is not None:
                yield path, tensors


def _parts(state: State, path: str, part: str) -> Any:
    leaf = state.leaves.get(f"{path}/{part}")
    return leaf.chunks if leaf else state.bundles[path][part]


def _metrics(before: State, after: State, terms: Terms, prefix: str) -> Iterator[Difference]:
    """Yield the first row of each metric that differs, the first step first."""
    seen = set()
    for step, name in sorted(before.metrics.keys() | after.metrics.keys()):
        old, new = before.metrics.get((step, name), ()), after.metrics.get((step, name), ())
        if name in seen or old == new:
            continue
        if step in after.again and new[len(new) - len(old) :] == old:
            continue  # logged once more on the way back into a loop
        if len(old) == len(new) and all(_is_close(a, b, terms.tolerance) for a, b in zip(old, new, strict=True)):
            continue
        seen.add(name)
        if not new:
            text = f"nothing at step {step}: it was skipped"
        elif len(new) > len(old) > 0:
            text = f"{len(new)} values at step {step}, expected {len(old)}: it was done twice"
        elif not old:
            text = f"a value at step {step}, where the undisturbed run has none"
        else:
            text = f"{new[-1]!r} at step {step}, expected {old[-1]!r}"
        yield Difference(kind="metric", name=prefix + name, text=text, step=step)


def _files(expected: Results, found: Results, terms: Terms) -> Iterator[Difference]:
    for name in sorted(expected.files.keys() | found.files.keys()):
        if name not in found.files:
            yield Difference(kind="file", name=name, text="is missing")
        elif name not in expected.files:
            yield Difference(kind="file", name=name, text="is not in the undisturbed run")
        elif expected.files[name] != found.files[name]:
            text = contents.file(f"{expected.work}/{name}", f"{found.work}/{name}", terms.tolerance)
            if text:
                yield Difference(kind="file", name=name, text=text)


def _output(expected: Sequence[str], found: Sequence[str], *, more_output: bool) -> Iterator[Difference]:
    """Yield what of the output differs: each line is to be there, in this order; others are not."""
    if expected == found:
        return
    known = set(expected)
    strange = next((line for line in found if line not in known), None)
    if strange is not None:
        yield Difference(kind="output", name="(stdout)", text=f"prints {strange!r}, which the undisturbed run does not")
        return
    at = iter(found)
    lost = next((line for line in expected if line not in at), None)
    if lost is not None:
        yield Difference(kind="output", name="(stdout)", text=f"{lost!r} is missing, or out of order")
    elif not more_output:
        yield Difference(kind="output", name="(stdout)", text="lines are printed more than once")


def _is_near(old: str | None, new: str | None, tolerance: float) -> bool:
    if old is None or new is None or not tolerance:
        return False
    return _is_close(json.loads(old), json.loads(new), tolerance)


def _is_close(old: Any, new: Any, tolerance: float) -> bool:
    are_numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in (old, new))
    return old == new or (are_numbers and contents.is_close(old, new, tolerance))


def _short(value: str | None) -> str:
    if value is None:
        return "nothing"
    return value if len(value) <= 60 else value[:57] + "..."  # noqa: PLR2004
