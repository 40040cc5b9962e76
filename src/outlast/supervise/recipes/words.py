"""The command that was given: where the application stands in it, its launcher, and the values that a recipe names."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from outlast.errors import UsageError
from outlast.supervise.recipes.recipe import Recipe, Variable

HOLE = re.compile(r"\{([a-z_]+)(?:\|([^{}]*))?\}")
_LAUNCHERS = (
    "srun",
    "mpirun",
    "mpiexec",
    "mpiexec.*",
    "mpirun.*",
    "orterun",
    "prun",
    "aprun",
    "jsrun",
    "ibrun",
    "charmrun",
)
_REMOTE = ("srun", "aprun", "jsrun", "ibrun")
_COUNTS = ("-n", "-np", "--ntasks", "--np", "-c")
_MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A command, understood.

    Args:
        words: all of it.
        at: where the application's program stands.
        launcher: the MPI launcher before it; empty if there is none.
        ranks: as many as were asked for; empty where the command does not say.
    """

    words: tuple[str, ...]
    at: int
    launcher: str
    ranks: str

    @property
    def arguments(self) -> tuple[str, ...]:
        return self.words[self.at + 1 :]

    @property
    def is_remote(self) -> bool:
        """Whether the launcher's processes are not below it."""
        return self.launcher in _REMOTE


def understood(recipe: Recipe, command: Sequence[str]) -> Words:
    """Find the application in a command. Raises UsageError if it is not there."""
    at = next((number for number, word in enumerate(command) if is_program(recipe, word)), None)
    if at is None:
        hint = f"put the program itself behind `--`, not a script that calls it; known are: {', '.join(recipe.detect)}"
        raise UsageError(f"the command does not start {recipe.title}: {' '.join(command)}", hint=hint)
    if recipe.subcommand and recipe.subcommand not in command[at : at + 3]:
        raise UsageError(
            f"the recipe {recipe.name} is for `{command[at]} {recipe.subcommand}`, found: {' '.join(command)}"
        )
    names = [os.path.basename(word) for word in command[:at]]
    launcher = next((name for name in names if any(fnmatch.fnmatch(name, known) for known in _LAUNCHERS)), "")
    return Words(words=tuple(command), at=at, launcher=launcher, ranks=_ranks(command[:at]) if launcher else "")


def is_program(recipe: Recipe, word: str) -> bool:
    """Say whether a word is the name of the application's program, or a path of it."""
    name = os.path.basename(word)
    return any(fnmatch.fnmatchcase(name, one) for one in recipe.detect)


def _ranks(words: Sequence[str]) -> str:
    for number, word in enumerate(words):
        option, _, value = word.partition("=")
        if option in _COUNTS and value:
            return value
        if word in _COUNTS and number + 1 < len(words):
            return words[number + 1]
    return os.environ.get("SLURM_NTASKS", "")


def values(recipe: Recipe, words: Words) -> dict[str, str]:
    """Return the variables of a recipe. Raises UsageError if one that is needed has no value."""
    found: dict[str, str] = {"ranks": words.ranks}
    for variable in recipe.variables:
        value = _value(variable, words.arguments, found)
        if not value and variable.needed:
            raise UsageError(f"{recipe.title}: {filled(variable.needed, found)}")
        found[variable.name] = value
    return found


def _value(variable: Variable, arguments: Sequence[str], known: Mapping[str, str]) -> str:
    for number, word in enumerate(arguments):
        option, _, value = word.partition("=")
        if option in variable.options and value:
            return value
        if word in variable.options and number + 1 < len(arguments):
            return arguments[number + 1]
    if variable.ending:
        ends = [word for word in arguments if word.endswith(variable.ending) and not word.startswith("-")]
        if ends:
            return ends[-1].removesuffix(variable.ending) if variable.stem else ends[-1]
    if variable.file and (path := filled(variable.file, known)):
        match = re.search(variable.pattern, text_of(path), re.MULTILINE)
        if match:
            return next((group for group in match.groups() if group), "")
    return filled(variable.default, known)


def filled(text: str, known: Mapping[str, str]) -> str:
    """Put values in the place of `{name}` and `{name|otherwise}`; other braces stay. Raises UsageError for others."""

    def value(match: re.Match[str]) -> str:
        name, otherwise = match.group(1), match.group(2)
        if name not in known:
            raise UsageError(
                f"the recipe names {{{name}}}, which is no variable", hint=f"known are: {', '.join(known)}"
            )
        return known[name] or (otherwise or "")

    return HOLE.sub(value, text)


def text_of(path: str) -> str:
    """Return what stands in an input. Raises UsageError if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(_MOST_BYTES)
    except OSError as e:
        raise UsageError(f"the input {path} cannot be read: {e.strerror}") from e


def with_arguments(words: Words, more: Sequence[str]) -> Words:
    """Return the command with further arguments at its end."""
    return Words(words=(*words.words, *more), at=words.at, launcher=words.launcher, ranks=words.ranks)


def with_file(words: Words, old: str, new: str) -> Words:
    """Return the command with one argument in the place of another."""
    inner = tuple(new if word == old else word for word in words.arguments)
    return Words(words=(*words.words[: words.at + 1], *inner), at=words.at, launcher=words.launcher, ranks=words.ranks)
