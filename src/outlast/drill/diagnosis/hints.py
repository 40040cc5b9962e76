"""Programs that are not traced (R, Octave, MATLAB): what their text makes likely, once the drill has shown a fault."""

from __future__ import annotations

import re
from dataclasses import dataclass

from outlast.drill.diagnosis.catalogue import found
from outlast.drill.diagnosis.finding import Finding

_COMMENTS = {"r": r"#.*", "m": r"[%#].*"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hint:
    """What is there and what is not in a program with a finding of some cause, and what that makes likely."""

    has: str
    lacks: str
    of: tuple[str, ...]
    cause: str
    text: str

    def fits(self, code: str) -> bool:
        has, lacks = re.search(self.has, code, re.MULTILINE), re.search(self.lacks, code, re.MULTILINE)
        return has is not None and lacks is None


_DIFFERS, _FAILS = ("differs",), ("not-recovered", "fails-on-restart", "only-with-kill")
_HINTS = {
    "r": (
        _Hint(
            has=r"Box-Muller",
            lacks=r"\Z\A",
            of=_DIFFERS,
            cause="box-muller",
            text="R draws normal numbers by Box-Muller: .Random.seed does not hold every second one",
        ),
        _Hint(
            has=r"\b(?:r(?:norm|unif|exp|binom|pois|gamma|beta|t|chisq)|sample)\s*\(",
            lacks=r"\.Random\.seed",
            of=_DIFFERS,
            cause="generator-not-saved",
            text="R's generator was not restored: .Random.seed is not in what is saved",
        ),
        _Hint(
            has=r"\b(?:saveRDS|save|save\.image)\s*\(",
            lacks=r"file\.rename",
            of=_FAILS,
            cause="overwritten-in-place",
            text="the only copy is overwritten in place: a kill in a save tears it",
        ),
    ),
    "m": (
        _Hint(
            has=r"\brand(?:n|i|e|g|p|perm)?\s*\(",
            lacks=r"=\s*rng\b|=\s*rand\w*\s*\(\s*[\"'](?:twister|state)[\"']\s*\)",
            of=_DIFFERS,
            cause="generator-not-saved",
            text="the generator was not restored: its state is no variable, so no workspace holds it",
        ),
        _Hint(
            has=r"\bsave\s*\(|^\s*save\s",
            lacks=r"\b(?:rename|movefile)\s*\(",
            of=_FAILS,
            cause="overwritten-in-place",
            text="the only copy is overwritten in place: a kill in a save tears it",
        ),
    ),
}


def hinted(finding: Finding, language: str, source: str) -> Finding:
    """Return a finding that says more, where the program's text makes a cause likely; else the same.

    Args:
        finding: what the traces show.
        language: r, m (Octave, MATLAB) or another suffix of a script, in lower case.
        source: the script.
    """
    code = re.sub(_COMMENTS.get(language, r"\Z\A"), "", source)
    hint = next((hint for hint in _HINTS.get(language, ()) if finding.cause in hint.of and hint.fits(code)), None)
    if hint is None:
        return finding
    evidence = (*finding.evidence, finding.text)
    return found(hint.cause, hint.text, step=finding.step, leaf=finding.leaf, evidence=evidence)
