"""From what the drill saw of a wounded run to what the diagnosis wants to know."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from outlast.drill import diagnosis, script, trace
from outlast.drill.compare import Difference
from outlast.drill.diagnosis import Ended, Finding, Outcome, Wound
from outlast.drill.place import Place
from outlast.drill.record import Ran
from outlast.drill.trace import Trace
from outlast.drill.verdict import Trial
from outlast.errors import DONE


def read(place: Place, ran: Ran) -> Trace:
    """Return the trace of a run: of the recorder, or, where it is not in the program, of what that prints."""
    found = trace.read(Path(place.trace))
    return found if found.attempts else script.trace_of(place, ran.attempts)


def find(
    reference: Trace,
    place: Place,
    ran: Ran,
    differences: Sequence[Difference],
    *,
    wound: Wound,
    noise: frozenset[str] = frozenset(),
) -> Finding | None:
    """Return the likely cause of what is wrong with a run; None if nothing is, or nothing is known."""
    text, language = script.text_of(place.command, place.work)
    outcome = Outcome(
        wound=wound,
        attempts=tuple(
            Ended(status=attempt.status, said=attempt.said, wounded=attempt.wounded) for attempt in ran.attempts
        ),
        trace=read(place, ran),
        differing=tuple(one.name for one in differences),
        done=ran.status == 0,
        script=text,
        language=language,
    )
    finding = diagnosis.diagnose(reference, outcome, noise)
    if finding is not None and (finding.leaf or "").startswith("outside:") and ran.status == DONE and not differences:
        return None  # a variable outside of the state, of which nothing came: the loop goes on with its own order, say
    return finding


def weightiest(trials: Iterable[Trial]) -> Finding | None:
    """Return the finding to put first, of those of all faults."""
    found: dict[Wound, Finding | None] = {}
    for trial in trials:
        if trial.ran is not None:
            found[trial.fault.wound] = found.get(trial.fault.wound) or trial.finding
    return diagnosis.conclude(found)
