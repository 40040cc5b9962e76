"""The rule about which checkpoint is taken: the newest, by an order that is one of time or of numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from outlast.jobscript.command import Command
from outlast.jobscript.rule import WARNING, Edit, Hit, Rule
from outlast.jobscript.script import Script
from outlast.jobscript.tokens import Word

_NEWEST = re.compile(
    r"ckpt|checkpoint|chk|restart|resume|step|epoch|iter|snapshot|latest|last|newest|state|model|weights|\.cpt|\.pth?\b|\.rst",
    re.IGNORECASE,
)


def _wrong_one(script: Script) -> Iterator[Hit]:
    stages: dict[int, list[Command]] = {}
    for command in script.commands:
        stages.setdefault(command.pipeline, []).append(command)
    removed = [(c.start, c.end) for c in script.named("rm")]
    for line_up in stages.values():
        names = [command.name for command in line_up]
        if len(line_up) < 2 or names[0] not in ("ls", "find", "printf", "echo") or "xargs" in names:  # noqa: PLR2004
            continue
        ends = [command for command in line_up if command.name in ("head", "tail") and _takes_one(command)]
        about = f"{script.source(line_up[0])} {_receiver(script, line_up[0])}"
        is_removed = any(begin <= line_up[0].start < stop for begin, stop in removed)
        if ends and _NEWEST.search(about) and not is_removed:
            yield from _judged(line_up, ends[0])


def _takes_one(command: Command) -> bool:
    return "".join(command.arguments[:2]) in ("-1", "-n1", "-n-1", "--lines=1")


def _receiver(script: Script, command: Command) -> str:
    """Return the variable that the output of a substitution goes to, or ""."""
    for other in script.commands:
        for one in other.assignments if other.start <= command.start < other.end else ():
            if one.value and one.value.start <= command.start < one.value.end:
                return one.name
    return ""


def _judged(line_up: list[Command], end: Command) -> Iterator[Hit]:
    first = line_up[0]
    flags = [word for word in first.words[1:] if re.fullmatch(r"-[A-Za-z1]+", word.value)] if first.name == "ls" else []
    letters = "".join(word.value[1:] for word in flags)
    sort = next((command for command in line_up if command.name == "sort"), None)
    if "t" in letters and sort is None:
        is_oldest = ("r" in letters) == (end.name == "head")
        if is_oldest:
            yield Hit(
                line=first.line, said=f"`{first.name} -{letters} | {end.name}` is the oldest", edits=_turned(flags, end)
            )
        return
    if any(letter in letters for letter in "tvSUX") and sort is None:
        return
    if sort is not None and any(re.search(r"[VnghRkM]", word) for word in sort.arguments if word.startswith("-")):
        return
    if sort is None and first.name != "ls":
        return
    if any("[0-9][0-9]" in word.raw or re.search(r"%0\d+d", word.raw) for word in first.words):
        return
    word, letter = (sort.words[0], " -V") if sort else (first.words[0], " -v")
    said = "in the order of letters ckpt_9 comes after ckpt_10"
    yield Hit(line=first.line, said=said, severity=WARNING, edits=(Edit(start=word.end, end=word.end, text=letter),))


def _turned(flags: list[Word], end: Command) -> tuple[Edit, ...]:
    """Return what makes the newest of the oldest."""
    turning = [word for word in flags if "r" in word.value]
    if not turning:
        word = end.words[0]
        return (Edit(start=word.start, end=word.end, text="head"),)
    return tuple(
        Edit(start=word.start, end=word.end, text=word.raw.replace("r", "") if len(word.raw) > 2 else "-t")  # noqa: PLR2004
        for word in turning
    )


J26 = Rule(
    id="J26",
    title="the newest checkpoint by the wrong order",
    reason="`ls -rt | head -n1` is the oldest, and by letters step 9 comes after step 10: work is done again, or lost",
    remedy="ls -t | head -n1, or ls -v | tail -n1 for numbers; best let the program choose, and check what it loads",
    source="Durham NCC, preemption page",
    find=_wrong_one,
    slurm_only=False,
    fixes=True,
)


RULES = (J26,)
