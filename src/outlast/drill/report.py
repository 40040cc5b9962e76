"""What a drill has shown, as lines for people, as a JSON document, and as JUnit XML for CI."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

from outlast.drill.director import Drilled
from outlast.drill.verdict import BROKEN, NOT_TRIED, Trial
from outlast.units import format_duration

_MOST_TROUBLES = 6
HEADERS = ("fault", "what was done", "attempts", "result")


def rows(found: Drilled) -> list[list[str]]:
    """Return a row for each fault."""
    return [[trial.fault.name, _done(trial), _attempts(trial), trial.outcome] for trial in found.trials]


def _done(trial: Trial) -> str:
    if trial.ran is None:
        return trial.why_not
    strikes = trial.ran.strikes
    first = strikes[0]
    text = first.text if len(strikes) == 1 else f"{len(strikes)} times {first.text.partition(' at ')[0]}"
    saved = [strike.step for strike in strikes if strike.step is not None]
    at = (
        f", step {saved[0]} saved"
        if len(saved) == 1
        else f", steps {', '.join(map(str, saved))} saved"
        if saved
        else ""
    )
    notes = f"; {'; '.join(trial.ran.notes)}" if trial.ran.notes else ""
    return f"{text}{at}{notes}"


def _attempts(trial: Trial) -> str:
    return str(len(trial.ran.attempts)) if trial.ran else ""


def troubles(found: Drilled) -> Iterator[str]:
    """Yield what was wrong, fault by fault."""
    for trial in found.trials:
        for text in trial.troubles[:_MOST_TROUBLES]:
            yield f"{trial.fault.name}: {text}"
        if len(trial.troubles) > _MOST_TROUBLES:
            yield f"{trial.fault.name}: and {len(trial.troubles) - _MOST_TROUBLES} more"


def verdict(found: Drilled) -> Iterator[str]:
    """Yield the verdict, and how to repeat it."""
    yield from found.verdict.sentences
    yield f"({format_duration(found.lasted_s)}, seed {found.order.seed})"


def document(found: Drilled) -> dict[str, Any]:
    """Return all of it as JSON data."""
    return {
        "command": list(found.order.command),
        "seed": found.order.seed,
        "verdict": found.verdict.judgement.name.lower(),
        "text": list(found.verdict.sentences),
        "seconds": round(found.lasted_s, 2),
        "undisturbed": {
            "seconds": round(found.reference.pace.lasted_s, 2),
            "commits": len(found.reference.pace.commits),
            "storage_calls": found.reference.pace.calls,
            "steps": len(found.reference.pace.steps),
        },
        "varying": [_difference(one) for one in found.reference.varying],
        "faults": [_trial(trial) for trial in found.trials],
    }


def _trial(trial: Trial) -> dict[str, Any]:
    ran = trial.ran
    row: dict[str, Any] = {"fault": trial.fault.name, "result": trial.outcome, "reason": trial.why_not}
    if ran is not None:
        row |= {
            "status": ran.status,
            "strikes": [{"text": one.text, "at_s": one.at_s, "step": one.step} for one in ran.strikes],
            "attempts": [{"status": one.status, "seconds": one.lasted_s, "step": one.step} for one in ran.attempts],
            "problems": list(ran.problems),
            "notes": list(ran.notes),
            "troubles": list(trial.troubles),
            "differences": [_difference(one) for one in trial.differences],
            "finding": dict(trial.finding.document()) if trial.finding else None,
            "seconds": round(ran.pace.lasted_s, 2),
        }
    return row


def _difference(one: Any) -> dict[str, Any]:
    return {"kind": one.kind, "name": one.name, "step": one.step, "text": one.text}


def junit(found: Drilled) -> bytes:
    """Return it as JUnit XML: a test case for each fault, and one for the undisturbed runs."""
    counts = {name: sum(trial.outcome == name for trial in found.trials) for name in (BROKEN, NOT_TRIED)}
    suite = ET.Element(
        "testsuite",
        name="outlast drill",
        tests=str(len(found.trials) + 1),
        failures=str(counts[BROKEN] + bool(_varies(found))),
        skipped=str(counts[NOT_TRIED]),
        errors="0",
        time=f"{found.lasted_s:.3f}",
    )
    group = shlex.join(found.order.command)
    case = ET.SubElement(
        suite, "testcase", classname=group, name="undisturbed", time=f"{found.reference.pace.lasted_s:.3f}"
    )
    if text := _varies(found):
        ET.SubElement(case, "failure", message="not deterministic by itself").text = text
    for trial in found.trials:
        seconds = trial.ran.pace.lasted_s if trial.ran else 0.0
        case = ET.SubElement(suite, "testcase", classname=group, name=trial.fault.name, time=f"{seconds:.3f}")
        if trial.outcome == NOT_TRIED:
            ET.SubElement(case, "skipped", message=_clean(trial.why_not))
        elif trial.outcome == BROKEN:
            message = trial.finding.text if trial.finding else trial.troubles[0]
            ET.SubElement(case, "failure", message=_clean(message)).text = _clean("\n".join(trial.troubles))
    suites = ET.Element("testsuites")
    suites.append(suite)
    found_xml: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return found_xml + b"\n"


def _varies(found: Drilled) -> str:
    if found.verdict.judgement.name != "VARIES":
        return ""
    return _clean("\n".join(f"{one.name}: {one.text}" for one in found.reference.varying))


def _clean(text: str) -> str:
    """Return text without what XML cannot hold."""
    return "".join(char if char >= " " or char in "\t\n" else "?" for char in text)
