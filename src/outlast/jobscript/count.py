"""Rules about the restart count, SLURM_RESTART_COUNT: unset on the first run in some versions of Slurm, 0 in others."""

from __future__ import annotations

import re
from collections.abc import Iterator

from outlast.jobscript.command import Command
from outlast.jobscript.rule import Edit, Hit, Rule
from outlast.jobscript.script import Script
from outlast.jobscript.tokens import Word

COUNT = "SLURM_RESTART_COUNT"
_TESTS = ("[", "[[", "test")
_NUMERIC = {"-eq", "-ne", "-lt", "-le", "-gt", "-ge"}
_EQUAL = {"=": "-eq", "==": "-eq", "!=": "-ne"}
_ORDER = {">": "-gt", "<": "-lt"}
_ABOUT_RESTARTS = re.compile(r"restart|requeue|attempt", re.IGNORECASE)


def _counts(script: Script) -> frozenset[str]:
    """Return the names of variables that hold the restart count as it is, unset or not."""
    copies = {f"${COUNT}", f"${{{COUNT}}}", f'"${COUNT}"', f'"${{{COUNT}}}"'}
    named = (name for name, all_ in script.values.items() if any(one.value and one.value.raw in copies for one in all_))
    return frozenset({COUNT, *named})


def _bare(word: Word, names: frozenset[str]) -> str:
    """Return the variable that a word is, quoted or not, without a default; or ""."""
    match = re.fullmatch(r'("?)\$(?:(\w+)|\{(\w+)(?::?-)?\})\1', word.raw)
    name = (match[2] or match[3]) if match else ""
    return name if name in names else ""


def _tests(script: Script) -> Iterator[Command]:
    return (command for command in script.commands if command.name in _TESTS)


def _with_default(word: Word, name: str) -> Edit:
    return Edit(start=word.start, end=word.end, text=f'"${{{name}:-0}}"')


def _is_known_set(script: Script, command: Command, name: str) -> bool:
    """Say whether a test stands beside one that asks whether the variable is set."""
    asks = re.compile(rf"-(?:n|v|z)\s+\"?\$?\{{?{name}\b")
    beside = [guard.text for guard in script.guards(command)]
    source = script.source(command)
    return any(asks.search(text) for text in (*beside, source))


def _unset(script: Script) -> Iterator[Hit]:
    names = _counts(script)
    lines = set()
    for command in _tests(script):
        if command.name == "[[":
            continue
        for at, word in enumerate(command.words):
            name = _bare(word, names)
            beside = {one.value for one in (*command.words[at - 1 : at], *command.words[at + 1 : at + 2])}
            compared = beside & _NUMERIC or (not word.is_quoted and beside & {*_EQUAL, *_ORDER})
            if name and at and compared and not _is_known_set(script, command, name) and command.line not in lines:
                lines.add(command.line)
                edits = (_with_default(word, name),)
                yield Hit(line=command.line, said=f"`{script.source(command)}`", edits=edits)
    for word in _words(script) if _stops_at_unset(script) else ():
        match = re.search(rf"\$(?:{COUNT}\b|\{{{COUNT}\}})", word.raw)
        if match and not word.raw.startswith("'") and word.line not in lines:
            lines.add(word.line)
            at = word.start + match.start()
            edits = (Edit(start=at, end=at + len(match[0]), text=f"${{{COUNT}:-0}}"),)
            yield Hit(line=word.line, said=f"${COUNT} under set -u ends the script", edits=edits)


def _words(script: Script) -> Iterator[Word]:
    for command in script.commands:
        yield from command.words
        yield from (one.value for one in command.assignments if one.value)


def _stops_at_unset(script: Script) -> bool:
    return any(
        re.fullmatch(r"-[a-z]*u[a-z]*", word) or word == "nounset"
        for command in script.named("set")
        for word in command.arguments
    )


J9 = Rule(
    id="J9",
    title="the restart count without a default",
    reason="up to Slurm 26.05 it is unset on the first run: an error instead of a number, and the test is false",
    remedy='write "${SLURM_RESTART_COUNT:-0}"',
    source="Durham NCC, preemption page; sbatch man page",
    find=_unset,
    fixes=True,
)


def _as_text(script: Script) -> Iterator[Hit]:
    names = _counts(script)
    for command in _tests(script):
        for at, word in enumerate(command.words[1:-1], 1):
            sides = command.words[at - 1], command.words[at + 1]
            edits = _numeric(word, sides, names, in_plain=command.name != "[[")
            if edits:
                yield Hit(line=command.line, said=f"`{script.source(command)}`", edits=edits)
                break
        else:
            hit = _into_file(script, command)
            if hit:
                yield hit


def _numeric(word: Word, sides: tuple[Word, Word], names: frozenset[str], *, in_plain: bool) -> tuple[Edit, ...]:
    """Return what makes a comparison of texts one of numbers; () if it is one, or about something else."""
    values = [side.value for side in sides]
    if not any(value.isdigit() for value in values):
        return ()
    operator = word.value
    if operator in _ORDER and any(_ABOUT_RESTARTS.search(value) for value in values):
        return (Edit(start=word.start, end=word.end, text=_ORDER[operator]),)
    counts = [(side, _bare(side, names)) for side in sides if _bare(side, names)]
    if operator not in _EQUAL or not counts or (in_plain and not counts[0][0].is_quoted):
        return ()
    side, name = counts[0]
    return Edit(start=word.start, end=word.end, text=_EQUAL[operator]), _with_default(side, name)


def _into_file(script: Script, command: Command) -> Hit | None:
    """Find `[ $n > 0 ]`: in a single bracket that writes a file."""
    for one in command.redirects:
        is_number = one.target.value.isdigit() and one.operator in _ORDER
        if is_number and any(_ABOUT_RESTARTS.search(word.raw) for word in command.words):
            after = "" if script.text[one.start + 1] == " " else " "
            edits = (Edit(start=one.start, end=one.start + 1, text=_ORDER[one.operator] + after),)
            said = f"`{script.source(command)}` writes to a file of the name {one.target.value}"
            return Hit(line=command.line, said=said, edits=edits)
    return None


J10 = Rule(
    id="J10",
    title="the restart count compared as text",
    reason='as texts 10 comes before 9, and an unset count is not "0"',
    remedy='compare numbers: [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]',
    source="NERSC-style scripts; bash manual, Conditional Expressions",
    find=_as_text,
    fixes=True,
)


def _by_being_set(script: Script) -> Iterator[Hit]:
    names = _counts(script)
    said = "a restart told by whether the variable is set"
    for command in _tests(script):
        if re.search(rf"{COUNT}\S*\s+-(?:gt|ge|lt|le|eq|ne)\s", script.line_text(command.line)):
            continue
        edits = _asks_whether_set(command, names)
        if edits:
            yield Hit(line=command.line, said=said, edits=edits)
    for word in _words(script):
        if re.search(rf"\$\{{{COUNT}:?\+", word.raw) and not word.raw.startswith("'"):
            yield Hit(line=word.line, said=said)


def _asks_whether_set(command: Command, names: frozenset[str]) -> tuple[Edit, ...]:
    words = command.words[1:-1] if command.name in ("[", "[[") else command.words[1:]
    for at, word in enumerate(words):
        name = _bare(word, names)
        before = words[at - 1] if at else None
        if before and before.value == "-v" and word.value in names:
            return _compared(before, word, word.value, "-gt")
        if before and name and before.value in ("-n", "-z"):
            return _compared(before, word, name, "-gt" if before.value == "-n" else "-eq")
        if name and at + 2 < len(words) and words[at + 2].raw in ('""', "''") and words[at + 1].value in _EQUAL:
            sign = "-gt" if words[at + 1].value == "!=" else "-eq"
            return _compared(word, words[at + 2], name, sign)
    alone = [word for word in words if word.value != "!"]
    if len(alone) == 1 and _bare(alone[0], names):
        return _compared(alone[0], alone[0], _bare(alone[0], names), "-gt")
    return ()


def _compared(first: Word, last: Word, name: str, sign: str) -> tuple[Edit, ...]:
    return (Edit(start=first.start, end=last.end, text=f'"${{{name}:-0}}" {sign} 0'),)


J11 = Rule(
    id="J11",
    title="a restart told by whether SLURM_RESTART_COUNT is set",
    reason="after Slurm 26.05 it is always set: the first run is taken for a restart",
    remedy='compare its value: [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]',
    source="Slurm 36b31fae4d (2026-07-30); sbatch man page",
    find=_by_being_set,
    fixes=True,
)


RULES = (J9, J10, J11)
