"""Reads a recipe from TOML, strictly: what is unknown, missing or of the wrong kind is named, with its place."""

from __future__ import annotations

import dataclasses
import re
import signal
import tomllib
import types
import typing
from collections.abc import Collection, Mapping
from typing import Any

from outlast.errors import UsageError
from outlast.supervise.recipes import recipe as model
from outlast.supervise.recipes.recipe import Ask, Recipe
from outlast.supervise.recipes.words import HOLE
from outlast.units import parse_duration

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_EXPRESSIONS = ("pattern", "output", "unless_output", "unless", "generation")
_CHOICES = {"pick": model.PICKS, "unit": model.UNITS}
_MOST_BYTES = 1 << 20
_GROUP = r"put what is the value in parentheses, as in 'step (\d+)'"


def parse(text: str, *, where: str) -> Recipe:
    """Return the recipe of a TOML text.

    Args:
        text: what stands in the file.
        where: the file, for messages.

    Raises:
        UsageError: it is none.
    """
    if len(text) > _MOST_BYTES:
        raise UsageError(f"{where}: too large for a recipe: {len(text)} characters")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise UsageError(f"{where}: not TOML: {e}") from e
    found: Recipe = _made(Recipe, document, where)
    _check(found, where)
    _check_groups(found, where)
    _check_variables(found, where)
    return found


def _made(kind: type[Any], table: Any, where: str) -> Any:
    """Make a dataclass from a table. Durations are written as "20s" and named without their `_s`."""
    if not isinstance(table, Mapping):
        raise UsageError(f"{where}: expected a table, found {table!r}")
    hints = typing.get_type_hints(kind)
    fields = {one.name.removesuffix("_s"): one for one in dataclasses.fields(kind)}
    for key in table:
        if key not in fields:
            raise UsageError(f"{where}: there is no {key!r}", hint=f"known are: {', '.join(sorted(fields))}")
    values = {}
    for key, one in fields.items():
        if key in table:
            at = f"{where}: {key}"
            is_duration = one.name.endswith("_s")
            values[one.name] = _duration(table[key], at) if is_duration else _value(hints[one.name], table[key], at)
        elif one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING:
            raise UsageError(f"{where}: {key!r} is missing")
    made = kind(**values)
    _check_words(made, where)
    return made


def _value(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin is types.UnionType:
        return _value(typing.get_args(hint)[0], value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise UsageError(f"{where}: expected a list, found {value!r}")
        inner = typing.get_args(hint)[0]
        return tuple(_value(inner, one, f"{where}[{number}]") for number, one in enumerate(value))
    if dataclasses.is_dataclass(hint):
        return _made(typing.cast("type[Any]", hint), value, where)
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint:
        raise UsageError(f"{where}: expected {_KINDS[hint]}, found {value!r}")
    return value


_KINDS = {str: "a string", bool: "true or false", int: "a whole number", float: "a number"}


def _duration(value: Any, where: str) -> float:
    if not isinstance(value, str):
        raise UsageError(f'{where}: expected a time such as "20s", found {value!r}')
    try:
        return parse_duration(value)
    except UsageError as e:
        raise UsageError(f"{where}: {e.args[0]}", hint=e.hint) from e


def _check_words(made: Any, where: str) -> None:
    """Check what a type does not say: regular expressions, and words of a closed list."""
    for one in dataclasses.fields(made):
        value = getattr(made, one.name)
        if one.name in _EXPRESSIONS and value:
            try:
                re.compile(value)
            except re.error as e:
                raise UsageError(f"{where}: {one.name}: not a regular expression: {e}") from e
        if one.name in _CHOICES and value not in _CHOICES[one.name]:
            _raise_choice(f"{where}: {one.name}", value, _CHOICES[one.name])


def _raise_choice(where: str, value: str, choices: tuple[str, ...]) -> None:
    raise UsageError(f"{where}: {value!r} is none of {', '.join(choices)}")


def _check(found: Recipe, where: str) -> None:
    if not _NAME.fullmatch(found.name):
        raise UsageError(f"{where}: name: {found.name!r}: expected small letters, digits and '-'")
    if not found.detect:
        raise UsageError(f"{where}: detect: no program is named")
    _check_ask(found.stop, f"{where}: stop")
    _check_ask(found.save, f"{where}: save")
    if found.outputs.how not in model.OUTPUTS:
        _raise_choice(f"{where}: outputs: how", found.outputs.how, model.OUTPUTS)
    state = found.state
    if not state.files:
        raise UsageError(f"{where}: state: files: none are named")
    if state.generation and "generation" not in re.compile(state.generation).groupindex:
        raise UsageError(f"{where}: state: generation: it has no group named 'generation'")
    done = found.done
    if not (done.file or done.log or done.output or done.status):
        raise UsageError(f"{where}: done: nothing tells when it is finished, so it would be started for ever")
    if bool(done.log) != bool(done.pattern):
        raise UsageError(f"{where}: done: log and pattern belong together")
    if found.limit and not any("{limit}" in one for one in found.limit.arguments):
        raise UsageError(f"{where}: limit: arguments: {{limit}} stands nowhere in them")


def _check_groups(found: Recipe, where: str) -> None:
    """Check that there is a first group where it is the value."""
    for one in found.variables:
        if one.pattern and not re.compile(one.pattern).groups:
            raise UsageError(f"{where}: variables: {one.name}: pattern: no group in it tells the value", hint=_GROUP)
    for step in found.state.steps:
        if re.compile(step.pattern).groups != 1:
            raise UsageError(
                f"{where}: state: steps: pattern: expected one group, the step, in {step.pattern!r}", hint=_GROUP
            )


def _check_variables(found: Recipe, where: str) -> None:
    """Check that each `{name}` has a value when it is needed: a slip would show when the job is about to end."""
    known = {"ranks"}
    for one in found.variables:
        _check_known(f"{where}: variables: {one.name}", known, one.file, one.default, one.needed)
        known.add(one.name)
    state, done, resume = found.state, found.done, found.resume
    _check_known(f"{where}: clean", known, *found.clean)
    for name, ask in (("stop", found.stop), ("save", found.save)):
        _check_known(f"{where}: {name}", known, ask.file, ask.content)
    matches = [one.file for one in (*state.steps, *state.whole)]
    _check_known(f"{where}: state", known, *state.files, *state.optional, *state.excluded, *matches)
    _check_known(f"{where}: outputs", known, *found.outputs.files)
    _check_known(f"{where}: requires", known, *(one.file for one in found.requires))
    _check_known(f"{where}: done", known, done.file, done.log)
    _check_known(f"{where}: resume: inputs", known, *(one.file for one in resume.inputs))
    _check_known(f"{where}: resume: places", known, *(one.target for one in resume.places))
    restored = known | {"newest", "step", *re.compile(state.generation).groupindex}
    replacements = [edit.replace for one in resume.inputs for edit in one.edits]
    sources = [one.source for one in resume.places]
    _check_known(f"{where}: resume", restored, *resume.arguments, *resume.without_outputs, *sources, *replacements)


def _check_known(where: str, known: Collection[str], *texts: str) -> None:
    for hole in (hole for text in texts for hole in HOLE.finditer(text)):
        if hole[1] not in known:
            hint = f"known are here: {', '.join(sorted(known))}"
            raise UsageError(f"{where}: there is no variable {{{hole[1]}}}", hint=hint)


def _check_ask(ask: Ask, where: str) -> None:
    if ask.how not in model.STOPS:
        _raise_choice(f"{where}: how", ask.how, model.STOPS)
    if ask.how == "signal" and f"SIG{ask.signal}" not in signal.Signals.__members__:
        raise UsageError(f"{where}: signal: {ask.signal!r} is no signal", hint='write it like "TERM"')
    if ask.how == "file" and not ask.file:
        raise UsageError(f"{where}: file: it is missing")
