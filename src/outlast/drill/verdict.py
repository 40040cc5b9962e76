"""What the runs of a drill say together. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from outlast.drill.compare import Difference, is_clocked
from outlast.drill.diagnosis import Finding
from outlast.drill.faults import Fault
from outlast.drill.record import Ran
from outlast.errors import DONE, FAILED, NOTHING
from outlast.policy.restart import describe

_MOST_NAMES = 5

PASSED, BROKEN, NOT_TRIED = "passed", "failed", "not tried"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A fault, and what came of it.

    Args:
        fault: what was to be done.
        ran: how the run went; None if it was not tried.
        differences: from the undisturbed run.
        finding: what is wrong, if that is known.
        why_not: why it was not tried.
        again: how to do it once more.
    """

    fault: Fault
    ran: Ran | None = None
    differences: tuple[Difference, ...] = ()
    finding: Finding | None = None
    why_not: str = ""

    @property
    def outcome(self) -> str:
        if self.ran is None:
            return NOT_TRIED
        return BROKEN if self.troubles else PASSED

    @property
    def troubles(self) -> tuple[str, ...]:
        """Return what is wrong, the weightiest first."""
        ran = self.ran
        if ran is None:
            return ()
        found = list(ran.problems)
        if ran.hung:
            found.append("it did not come to an end: it hangs")
        elif ran.status:
            found.append(f"it was not done in the end: {describe(ran.status)}{_last_words(ran)}")
        if ran.left:
            found.append(f"processes stay behind: {', '.join(map(str, ran.left))}")
        found += [f"{one.name}: {one.text}" for one in self.differences]
        if self.finding is not None and not found:
            found.append(self.finding.text)
        return tuple(found)


def _last_words(ran: Ran) -> str:
    said = ran.attempts[-1].said.strip().splitlines() if ran.attempts else []
    return f" ({said[-1].strip()[:200]})" if said else ""


class Judgement(enum.Enum):
    """What the drill has shown."""

    PROVEN = "restarts exactly"
    BROKEN = "does not restart exactly"
    VARIES = "not deterministic"
    UNTRIED = "nothing was tried"

    @property
    def status(self) -> int:
        return {Judgement.PROVEN: DONE, Judgement.BROKEN: FAILED}.get(self, NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The drill's last word.

    Args:
        judgement: what was shown.
        sentences: for people; the first says it all.
    """

    judgement: Judgement
    sentences: tuple[str, ...]


def judge(
    trials: Sequence[Trial],
    varying: Sequence[Difference],
    finding: Finding | None,
    *,
    harmless: bool,
    bitwise: bool,
    compared: int,
    caveats: Sequence[str] = (),
) -> Verdict:
    """Judge all trials.

    Args:
        trials: what was tried, and what came of it.
        varying: what differs between the two undisturbed runs.
        finding: the likely cause of the weightiest trouble.
        harmless: what varies is nothing but random generators that the program did not seed, and what a clock measures.
        bitwise: no tolerance was given.
        compared: how many things were compared.
        caveats: sentences about what the runs cannot show.
    """
    tried = [trial for trial in trials if trial.ran is not None]
    broken = [trial for trial in tried if trial.troubles]
    said = [*_of_varying(varying, harmless=harmless), *caveats]
    if broken:
        worst = broken[0]
        which = ", ".join(trial.fault.name for trial in broken)
        first = f"Does NOT restart exactly: wrong after {len(broken)} of {len(tried)} faults ({which})"
        cause = finding.text if finding else worst.troubles[0]
        advice = [f"What to do: {finding.advice}"] if finding and finding.advice else []
        return Verdict(
            judgement=Judgement.BROKEN, sentences=(f"{first}.", f"{cause[0].upper()}{cause[1:]}", *advice, *said)
        )
    if varying and not harmless:
        return Verdict(judgement=Judgement.VARIES, sentences=(said[0], *said[1:], _rest(tried)))
    if not tried:
        return Verdict(judgement=Judgement.UNTRIED, sentences=("Nothing was tried.",))
    how = "bit for bit" if bitwise else "within the tolerance"
    names = ", ".join(trial.fault.name for trial in tried)
    count = "the one fault" if len(tried) == 1 else f"each of {len(tried)} faults"
    same = f"all {compared} results are the same" if compared > 1 else "the one result is the same"
    text = f"Restarts exactly: after {count} ({names}) {same}, {how}."
    left = ", ".join(trial.fault.name for trial in trials if trial.ran is None)
    return Verdict(judgement=Judgement.PROVEN, sentences=(text, *([f"Not tried: {left}."] if left else []), *said))


def _of_varying(varying: Sequence[Difference], *, harmless: bool) -> Iterable[str]:
    if not varying:
        return
    if not harmless:
        yield f"Not deterministic by itself: two undisturbed runs differ in {_names(varying)} ({varying[0].text})."
        hint = "seed the generators, or name what may differ with --ignore"
        yield f"Where even that differs nothing can be proven: {hint}."
        return
    clocked = [one for one in varying if is_clocked(one.name)]
    unseeded = [one for one in varying if one not in clocked]
    if unseeded:
        yield f"Not compared: {_names(unseeded)}: random generators that the program does not seed."
    if clocked:
        yield f"Not compared: {_names(clocked)}: by their names what a clock measures."


def _names(varying: Sequence[Difference]) -> str:
    more = f" and {len(varying) - _MOST_NAMES} more" if len(varying) > _MOST_NAMES else ""
    return ", ".join(one.name for one in varying[:_MOST_NAMES]) + more


def _rest(tried: Sequence[Trial]) -> str:
    return f"In all else the {len(tried)} wounded runs came to the same."
