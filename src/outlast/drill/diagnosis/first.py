"""The first step after a restart that differs, and what must have been missing for it to differ in this way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from outlast.drill.diagnosis.catalogue import found
from outlast.drill.diagnosis.finding import Finding
from outlast.drill.diagnosis.reference import Reference, Resumed
from outlast.drill.trace.model import Held, Moved

_SERIOUS = ("data", "parameter", "moment", "lr", "schedule", "scaler", "metric")
_NAMES = {
    "rng:python": "Python's global generator (random)",
    "rng:numpy": "NumPy's global generator",
    "rng:torch": "torch's CPU RNG",
}


def differing(reference: Reference, now: Resumed) -> tuple[int, list[str]] | None:
    """Return the first step that differs, and the paths that do; `batches` stands for what a loader gave."""
    return next(_differing(reference, now), None)


def is_serious(reference: Reference, now: Resumed) -> bool:
    """Say whether something differs that is a result or makes one, though the end is the same.

    A generator that nothing depends on is not, nor is a list that only this attempt fills.
    """
    paths = (path for _, paths in _differing(reference, now) for path in paths)
    return any(path == "batches" or reference.kind(path) in _SERIOUS for path in paths)


def _differing(reference: Reference, now: Resumed) -> Iterator[tuple[int, list[str]]]:
    for number, step in now.steps.items():
        if number not in reference.steps:
            continue
        paths = reference.differing(number, step.leaves)
        theirs, ours = reference.steps[number].batches, step.batches
        if theirs and ours and theirs[-1] != ours[-1]:
            paths.insert(0, "batches")
        if paths:
            yield number, paths


def explain(reference: Reference, now: Resumed, number: int, paths: Sequence[str]) -> Finding:
    """Say what was not restored, most likely."""
    kinds: dict[str, list[str]] = {}
    for path in paths:
        kinds.setdefault("data" if path == "batches" else reference.kind(path), []).append(path)
    evidence = (f"differing after step {number}: {', '.join(paths[:12])}",)
    order = (_data, _rng, _moment, _lr, _scaler, _best, _leaf)
    finding = next(finding for explain in order if (finding := explain(reference, now, number, kinds)) is not None)
    cause, text, leaf = finding
    return found(cause, text, step=number, leaf=leaf, evidence=evidence)


_Said = tuple[str, str, str | None]
_Kinds = dict[str, list[str]]


def _data(reference: Reference, now: Resumed, number: int, kinds: _Kinds) -> _Said | None:
    """Other samples than in the undisturbed run: which ones?"""
    if "data" not in kinds:
        return None
    path = max(kinds["data"], key=lambda path: len({value for _, value in _sequence(reference, path)}))
    sequence = _sequence(reference, path)
    mine = now.steps[number].batches[0] if path == "batches" else now.steps[number].leaves[path]
    places = [place for place, (_, value) in enumerate(sequence) if value == mine]
    due = next(place for place, (step, _) in enumerate(sequence) if step == number)
    says = f"the order of the data differs from step {number} on"
    leaf = None if path == "batches" else path
    given = {moved.name for moved in now.attempt.of(Moved) if moved.way == "given"}
    if not places and "rng" in kinds and not given.intersection(kinds["rng"]):
        cause, text, which = _rng(reference, now, number, kinds) or ("", "", None)
        return cause, f"{says}: {text}", which
    if not places:
        return "order-of-data", f"{says}: the loader is not in the state, and the order was drawn anew", leaf
    if places[0] == 0:
        return "order-replayed", f"{says}: that of the first epoch comes again, for the generator was seeded anew", leaf
    if places[0] < due:
        again = sequence[places[0]][0]
        text = f"{says}: the samples of step {again} come again: the epoch starts again at its first batch"
        return "epoch-restarted", text, leaf
    lost = sequence[places[0]][0]
    return "batches-lost", f"{says}: those of step {lost} come already, and what lies between is never seen", leaf


def _sequence(reference: Reference, path: str) -> list[tuple[int, str]]:
    if path != "batches":
        return reference.values(path)
    return [(step.step, batch) for step in reference.steps.values() for batch in step.batches]


def _rng(reference: Reference, now: Resumed, number: int, kinds: _Kinds) -> _Said | None:
    if "rng" not in kinds:
        return None
    path = kinds["rng"][0]
    name = _NAMES.get(path, f"the generator {path.removeprefix('outside:')}")
    if path.startswith("rng:cuda"):
        name = f"the RNG of GPU {path.rpartition(':')[2]}"
    given = {moved.name for moved in now.attempt.of(Moved) if moved.way == "given"}
    mine = now.steps[number].leaves[path]
    is_early = any(value == mine for step, value in reference.values(path) if step < number)
    was_loaded = any(reference.kind(each.partition(":")[2]) == "rng" for each in now.loaded)
    if path in given or (was_loaded and not path.startswith("rng:") and not is_early):
        text = f"{name} was restored, but moved on before step {number}: something drew from it (skipped batches?)"
        return "rng-moved-on", text, path
    held = {each.name: each.in_state for each in now.attempt.of(Held)}
    is_lacking = (
        held.get("the global generators" if path.startswith("rng:") else path.removeprefix("outside:")) is False
    )
    return "rng-not-restored", f"{name} was not restored{': it is not in the state' if is_lacking else ''}", path


def _moment(reference: Reference, now: Resumed, number: int, kinds: _Kinds) -> _Said | None:
    del reference
    before = now.steps[number].before
    lost = bool(before) and not any("/state/" in path for path in before)
    if "moment" not in kinds and not (lost and now.first == number and "lr" not in kinds):
        return None
    path = kinds["moment"][0] if "moment" in kinds else None
    name = path.rpartition("/")[2].removeprefix("outside:") if path else "its moments"
    return "optimizer-missing", f"optimizer momentum is missing from step {number} on: {name} began anew", path


def _lr(reference: Reference, now: Resumed, number: int, kinds: _Kinds) -> _Said | None:
    path = next(iter(kinds.get("lr", kinds.get("schedule", []))), None)
    if path is None:
        return None
    mine, theirs = now.steps[number].leaves[path], reference.steps[number].leaves[path]
    sequence = reference.values(path)
    values = dict(sequence)
    beside = [values.get(step) for step in (reference.before(number), reference.after(number)) if step is not None]
    is_first = mine == sequence[0][1]
    told = f"{mine} instead of {theirs} after step {number}"
    if mine in beside and not (is_first and Counter(value for _, value in sequence)[mine] > 1):
        return "schedule-shifted", f"the learning-rate schedule is a step off: {told}", path
    if is_first:
        return "schedule-restarted", f"the learning-rate schedule started again: {told}", path
    return "schedule-shifted", f"the learning-rate schedule goes on elsewhere: {told}", path


def _scaler(reference: Reference, now: Resumed, number: int, kinds: _Kinds) -> _Said | None:
    if "scaler" not in kinds:
        return None
    path = kinds["scaler"][0]
    mine, theirs = now.steps[number].leaves[path], reference.steps[number].leaves[path]
    text = f"the gradient scaler is missing: its scale began anew ({mine} instead of {theirs} after step {number})"
    return "scaler-missing", text, path


def _best(reference: Reference, now: Resumed, number: int, kinds: _Kinds) -> _Said | None:
    if "best" not in kinds or kinds.keys() & {"parameter", "array"}:
        return None
    path = kinds["best"][0]
    mine, theirs = now.steps[number].leaves[path], reference.steps[number].leaves[path]
    name = path.removeprefix("outside:")
    text = (
        f"the best value or the patience is not in the state: {name} is {mine} instead of {theirs} after step {number}"
    )
    return "best-forgotten", text, path


def _leaf(reference: Reference, now: Resumed, number: int, kinds: _Kinds) -> _Said:
    paths = [path for kind in ("array", "parameter", "best", "number") for path in kinds.get(kind, ())]
    before = reference.before(number)
    if before is not None:
        values = reference.steps[before].leaves
        known = set(now.loaded.values())
        there = [path for path in paths if path in values]
        lacking = [path for path in there if path in reference.changing and values[path] not in known]
        lacking += [path for path in there if path.startswith("outside:") and path not in lacking]
        if lacking and (now.loaded or lacking[0].startswith("outside:")):
            return _lacking(now, lacking, set(reference.steps[number].leaves))
    path = next(iter(paths or [path for each in kinds.values() for path in each]))
    name = path.removeprefix("outside:")
    name = f"the printed {name.removeprefix('said:')}" if name.startswith("said:") else name
    return "differs", f"from step {number} on {name} differs", path


def _lacking(now: Resumed, paths: Sequence[str], there: set[str]) -> _Said:
    """Say that one of these was not saved; first what nothing in the checkpoint is called like. `there`: all paths."""
    outside = (path for path in paths if path.startswith("outside:"))
    rebound = next((path for path in outside if path.removeprefix("outside:") in there), None)
    if rebound is not None:
        same = rebound.removeprefix("outside:")
        text = f"the variable {same} is no longer what the state holds as {same}: it was given another object"
        return "rebound", text, rebound
    held = {key.partition(":")[2].partition(" (")[0] for key in now.loaded}
    names = {path.removeprefix("outside:"): path for path in paths}
    name = next((name for name in names if name not in held), None)
    if name is not None:
        text = f"what changes as the program runs is not all in the checkpoint: {name} is lacking"
        return "leaf-missing", text, names[name]
    name = next(iter(names))
    text = f"the checkpoint holds {name}, but not as it was: rounded, of another type, or changed after the save"
    return "leaf-inexact", text, names[name]
