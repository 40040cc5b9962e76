"""The order of the questions: what shows most surely comes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from outlast.drill.diagnosis import endings, first, hints, placing, restart
from outlast.drill.diagnosis.catalogue import found
from outlast.drill.diagnosis.finding import Ended, Finding, Outcome, Wound
from outlast.drill.diagnosis.reference import Reference, resumed
from outlast.drill.trace.model import Attempt, Trace
from outlast.errors import DONE, PREEMPTED

_BY_ITSELF = "it is not deterministic by itself"
_GOES_ON = (DONE, PREEMPTED)
_VAGUE = ("differs", "not-recovered", "fails-on-restart", "no-fallback")
_KILLS: frozenset[Wound] = frozenset({"kill", "kill-in-save"})
_OTHER_ENDS: frozenset[Wound] = frozenset({"notice", "notice-group", "deadline", "lost-tier"})


def noisy(reference: Trace, again: Trace) -> frozenset[str]:
    """Return the paths of leaves that differ between two undisturbed runs: times, addresses, names of files."""
    one, other = Reference(reference), Reference(again)
    paths: set[str] = set()
    for number, step in one.steps.items():
        if number in other.steps:
            theirs = other.steps[number].leaves
            paths |= {path for path, text in step.leaves.items() if theirs.get(path) != text}
    return frozenset(paths)


def diagnose(reference: Trace, outcome: Outcome, noise: frozenset[str] = frozenset()) -> Finding | None:
    """Return what is wrong with a wounded run, or None.

    Args:
        reference: the trace of the undisturbed run.
        outcome: the wounded run.
        noise: what `noisy` found in two undisturbed runs.
    """
    finding = _judge(Reference(reference, noise), outcome)
    return hints.hinted(finding, outcome.language, outcome.script) if finding and outcome.script else finding


def _judge(view: Reference, outcome: Outcome) -> Finding | None:
    attempts = _matched(outcome)
    if outcome.wound == "none":
        return _undisturbed(view, outcome)
    finding = endings.ended(view, outcome, attempts)
    if finding is not None:
        return finding
    if len(attempts) > 1 and outcome.wound in _KILLS:
        finding = endings.torn_output(outcome, attempts)
        if finding is not None:
            return finding
    for number in range(1, len(attempts)):
        finding = _later(view, outcome, attempts, number)
        if finding is not None:
            return finding
    if outcome.differing or not outcome.done:
        return endings.left(view, outcome, attempts)
    return None


def conclude(findings: Mapping[Wound, Finding | None]) -> Finding | None:
    """Return the finding to put first, given those of all faults."""
    there = {wound: finding for wound, finding in findings.items() if finding is not None}
    if not there:
        return None
    if "none" in there:
        return there["none"]
    vague = {wound for wound, finding in there.items() if finding.cause in _VAGUE}
    certain = {wound: finding for wound, finding in there.items() if wound not in vague}
    if certain and (not vague or certain.keys() != {"after-done"}):
        return next(iter(certain.values()))
    finding = next(finding for wound, finding in there.items() if not vague or wound in vague)
    if vague <= _KILLS and not certain and _OTHER_ENDS & findings.keys():
        text = f"it differs only with SIGKILL: the only copy is overwritten in place ({finding.text})"
        return found("only-with-kill", text, step=finding.step, leaf=finding.leaf, evidence=finding.evidence)
    return finding


def _matched(outcome: Outcome) -> tuple[Attempt, ...]:
    """Return a trace for each attempt; an empty one where nothing was traced."""
    traced = outcome.trace.attempts
    if len(traced) >= len(outcome.attempts):
        return traced
    return (*traced, *(Attempt(key="") for _ in outcome.attempts[len(traced) :]))


def _undisturbed(view: Reference, outcome: Outcome) -> Finding | None:
    """Compare a second undisturbed run with the first."""
    for attempt in outcome.trace.attempts:
        where = first.differing(view, resumed(view, attempt))
        if where is not None and (outcome.differing or where[1][0] == "batches"):
            number, paths = where
            text = f"two undisturbed runs differ from step {number} on ({', '.join(paths[:3])}): {_BY_ITSELF}"
            return found("not-deterministic", text, step=number, leaf=paths[0])
    if outcome.differing:
        text = f"two undisturbed runs differ in {', '.join(outcome.differing[:5])}: {_BY_ITSELF}"
        return found("not-deterministic", text)
    return None


def _later(view: Reference, outcome: Outcome, attempts: Sequence[Attempt], number: int) -> Finding | None:
    """Judge an attempt that should have gone on where the one before was."""
    earlier, attempt = attempts[:number], attempts[number]
    end = outcome.attempts[number] if number < len(outcome.attempts) else Ended(status=0)
    if end.status not in _GOES_ON and not end.wounded:
        return restart.crashed(earlier, attempt, end, outcome.wound)
    now = resumed(view, attempt)
    if now.is_fresh and view.by != "run":
        return _anew(view, outcome, attempts, number)
    where = first.differing(view, now)
    if not outcome.differing and not first.is_serious(view, now):
        return None
    finding = placing.misplaced(view, earlier, now, outcome.wound)
    if finding is not None or where is None:
        return finding
    return first.explain(view, now, *where)


def _anew(view: Reference, outcome: Outcome, attempts: Sequence[Attempt], number: int) -> Finding | None:
    """Judge an attempt that began where the undisturbed run began."""
    earlier, attempt = attempts[:number], attempts[number]
    if not view.trace.is_recorded or (not outcome.differing and restart.finds_outputs(earlier, attempt)):
        return None
    if restart.saved_before(earlier):
        return restart.fresh(earlier, resumed(view, attempt), outcome.wound)
    if not any(each.steps(view.by) for each in earlier):
        return None  # killed before its first step: there was nothing to go on from
    if restart.overwrites(view.trace.attempts) and not restart.overwrites(earlier):
        return None  # killed before it came to that
    if not restart.saved_before(view.trace.attempts):
        text = "it had saved nothing when it was killed, and saves nothing on the way: every attempt begins anew"
        return found("never-saves", text, step=view.first)
    return None
