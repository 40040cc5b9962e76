"""Traces made by hand: a small undisturbed run, and what came of wounded ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from outlast.drill.diagnosis import Ended, Finding, Outcome, Wound, diagnose
from outlast.drill.trace import Attempt, Step, Trace

KINDS = {
    "w": "parameter",
    "lr": "lr",
    "v": "moment",
    "rng": "rng",
    "rng:torch": "rng",
    "rng:python": "rng",
    "idx": "data",
    "best": "best",
    "scaler/scale": "scaler",
    "field": "array",
    "said:loss": "metric",
    "step": "counter",
    "name": "text",
}
TEN = range(1, 11)


def leaves(number: int, **other: str) -> dict[str, str]:
    """Return what the undisturbed run holds after a step; `other` names what differs (`rng_torch` is `rng:torch`)."""
    plain = {
        "w": f"#w{number}",
        "lr": f"{0.1 / number:.4f}",
        "v": f"#v{number}",
        "rng": f"#r{number}",
        "rng:torch": f"#t{number}",
        "rng:python": "#unused",
        "idx": f"#i{number}",
        "best": f"{1 / number:.4f}",
        "scaler/scale": f"{2.0**number}",
        "field": f"#f{number}",
        "said:loss": f"{1 / number:.3f}",
        "step": str(number),
        "name": "'run'",
    }
    return plain | {name.replace("rng_", "rng:").replace("scaler_", "scaler/"): text for name, text in other.items()}


def step(number: int, by: str = "line", batches: Sequence[str] = (), **other: str) -> Step:
    return Step(step=number, by=by, leaves=leaves(number, **other), batches=tuple(batches))


def attempt(key: str, *events: object, ended: bool = True) -> Attempt:
    return Attempt(key=key, events=tuple(events), ended=ended)


def trace(*attempts: Attempt, kinds: Mapping[str, str] = KINDS) -> Trace:
    return Trace(attempts=attempts, kinds=kinds)


REFERENCE = trace(attempt("1", *map(step, TEN)))


def outcome(
    *attempts: Attempt,
    wound: Wound = "kill",
    statuses: Sequence[int] = (137, 0),
    said: str = "",
    differing: Sequence[str] = ("result.txt",),
    done: bool = True,
) -> Outcome:
    """Return what came of a run whose first attempt was wounded; what was said was said by the last."""
    last = len(statuses) - 1
    ends = [
        Ended(status=status, said=said if place == last else "", wounded=place == 0)
        for place, status in enumerate(statuses)
    ]
    return Outcome(wound=wound, attempts=tuple(ends), trace=trace(*attempts), differing=tuple(differing), done=done)


def found(*attempts: Attempt, reference: Trace = REFERENCE, **about: object) -> Finding:
    finding = diagnose(reference, outcome(*attempts, **about))
    assert finding is not None
    return finding
