"""A command of a shell script as a value, with where it stands."""

from __future__ import annotations

from dataclasses import dataclass

from outlast.jobscript.tokens import Word


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """A condition that a command is under.

    Args:
        kind: if, else, loop, case, && or ||.
        text: the condition as it stands; for `&&` and `||` what stands before; for `else` the condition that failed.
        of: the number of the compound command; two commands with one number and different branches exclude each other.
        branch: which branch of it.
    """

    kind: str
    text: str
    of: int
    branch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """`operator` without the descriptor's number: >, >>, <, << ..."""

    operator: str
    target: Word
    start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """`NAME=value`, on its own, before a command or behind `export`; value None: set to what cannot be told."""

    name: str
    value: Word | None
    line: int
    start: int


@dataclass(slots=True, kw_only=True, eq=False)
class Command:
    """A simple command, a test (`[`, `[[`, `((`), or assignments alone (no words).

    Args:
        words: name and arguments.
        assignments: what it sets.
        redirects: files.
        start, end: offsets in the script.
        function: whose body it stands in, or "".
        guards: conditions, outermost first.
        is_background: behind it, or behind what it is part of, stands `&`.
        in_condition: it is itself (part of) the condition of an if or a loop.
        in_loop: it may run more than once.
        in_substitution: in `$(...)` or backquotes.
        pipeline: number of the pipeline that it is in.
        handler: the signals on which it runs, where it stands in a trap's text.
    """

    line: int
    start: int
    end: int = 0
    words: tuple[Word, ...] = ()
    assignments: tuple[Assignment, ...] = ()
    redirects: tuple[Redirect, ...] = ()
    function: str = ""
    guards: tuple[Guard, ...] = ()
    is_background: bool = False
    in_condition: bool = False
    in_loop: bool = False
    in_substitution: bool = False
    pipeline: int = 0
    handler: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the first word without its directory, or ""."""
        return self.words[0].value.rsplit("/", 1)[-1] if self.words else ""

    @property
    def arguments(self) -> tuple[str, ...]:
        return tuple(word.value for word in self.words[1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What the commands of a part of a script have in common."""

    function: str = ""
    guards: tuple[Guard, ...] = ()
    in_loop: bool = False
    in_condition: bool = False
    in_substitution: bool = False
    handler: tuple[str, ...] = ()
