"""All rules, and what a lint does with them: find, and mend what is safe to mend."""

from __future__ import annotations

import re
from dataclasses import dataclass

from outlast.errors import UsageError
from outlast.jobscript import again, count, delivery, heading, newest, notice, paths
from outlast.jobscript.directive import with_directives
from outlast.jobscript.rule import Edit, Hit, Rule
from outlast.jobscript.script import Script, parse

RULES: tuple[Rule, ...] = tuple(
    sorted(
        (rule for kind in (heading, notice, delivery, count, again, paths, newest) for rule in kind.RULES),
        key=lambda rule: int(rule.id[1:]),
    )
)
MAX_BYTES = 1 << 20
_MAX_ROUNDS = 8
_ALLOWED = re.compile(r"#\s*outlast:\s*allow\s+(J\d+(?:[\s,]+J\d+)*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A rule and a place where it applies."""

    rule: Rule
    hit: Hit

    @property
    def line(self) -> int:
        return self.hit.line

    @property
    def severity(self) -> str:
        return self.hit.severity or self.rule.severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found in a script, and the lines that were not understood."""

    findings: tuple[Finding, ...]
    troubles: tuple[int, ...]


def check(text: str, name: str = "") -> Report:
    """Look for every mistake that a script's text can show.

    Args:
        text: the script.
        name: its file's name, without directories.

    Raises:
        UsageError: it is no job script: too large, or binary.
    """
    if len(text) > MAX_BYTES:
        raise UsageError(
            f"{name or 'the script'} has {len(text)} characters, more than {MAX_BYTES}", hint="name a job script"
        )
    if "\0" in text:
        raise UsageError(f"{name or 'the script'} is a binary file", hint="name a job script")
    script = parse(text, name)
    allowed = _allowed(script)
    found = [
        Finding(rule=rule, hit=hit)
        for rule in RULES
        if rule.id not in allowed and rule.applies(script)
        for hit in rule.find(script)
    ]
    found.sort(key=lambda one: (one.line, int(one.rule.id[1:])))
    return Report(findings=tuple(found), troubles=script.troubles)


def mended(text: str, name: str = "") -> str:
    """Return the script with all that is safe to mend mended; the same text if there is nothing.

    What one edit brings to light the next round mends, so that a second call changes nothing.
    """
    for _ in range(_MAX_ROUNDS):
        after = _round(text, name)
        if after == text:
            break
        text = after
    return text


def _round(text: str, name: str) -> str:
    report = check(text, name)
    sure = min(report.troubles, default=len(text) + 1)  # what stands below may not be what it looks like
    hits = [finding.hit for finding in report.findings if finding.line < sure or finding.hit.wants]
    wants = {option: value for hit in hits for option, value in hit.wants.items()}
    edited = text
    behind = len(text) + 1
    for edits in sorted((hit.edits for hit in hits if hit.edits), key=lambda edits: edits[0].start, reverse=True):
        if max(edit.end for edit in edits) < behind:  # else another one stands there: the next round's
            edited = _applied(edited, edits)
            behind = min(edit.start for edit in edits)
    return with_directives(edited, wants) if wants and edited == text else edited


def _applied(text: str, edits: tuple[Edit, ...]) -> str:
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def _allowed(script: Script) -> frozenset[str]:
    """Return the rules that a comment in the script turns off: `# outlast: allow J14`."""
    found = _ALLOWED.findall(script.text)
    return frozenset(one for group in found for one in re.findall(r"J\d+", group))
