"""What a restart changes in the application's inputs: in copies; the user's own files are never written to."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence

from outlast.errors import UsageError
from outlast.supervise.recipes.recipe import Input, Place, Recipe
from outlast.supervise.recipes.sets import Fill
from outlast.supervise.recipes.words import Words, text_of, with_file

_FIRST = ".outlast-first"
_COPY = ".outlast"


def check(recipe: Recipe, fill: Fill) -> None:
    """Look for what the user's inputs must say. Raises UsageError with what is missing."""
    for one in recipe.requires:
        path = fill(one.file)
        if not re.search(one.pattern, text_of(path), re.MULTILINE):
            raise UsageError(f"{path} does not do what a restart needs: {one.says}")


def back_to_first(inputs: Sequence[Input], places: Sequence[Place], fill: Fill) -> None:
    """Give the user's own inputs their names back, which an attempt that was killed could not."""
    for path in (*(fill(one.file) for one in inputs if one.fixed), *(fill(one.target) for one in places)):
        if os.path.lexists(path + _FIRST):
            os.replace(path + _FIRST, path)


def edited(inputs: Sequence[Input], words: Words, fill: Fill) -> Words:
    """Write the changed copies; return the command that reads them. Raises UsageError if an edit finds nothing."""
    for one in inputs:
        path = fill(one.file)
        text = _edited(text_of(path), one, path, fill)
        if one.fixed:
            shutil.copy2(path, path + _FIRST + ".tmp")
            os.rename(path + _FIRST + ".tmp", path + _FIRST)
            _write(path, text)
        else:
            stem, ending = os.path.splitext(path)
            _write(stem + _COPY + ending, text)
            words = with_file(words, path, stem + _COPY + ending)
    return words


def _edited(text: str, one: Input, path: str, fill: Fill) -> str:
    for edit in one.edits:
        if edit.unless and re.search(edit.unless, text, re.MULTILINE):
            continue
        replace = fill(edit.replace)
        text, count = re.subn(edit.pattern, lambda match, r=replace: match.expand(r), text, count=1, flags=re.MULTILINE)  # type: ignore[misc]
        if not count and not edit.optional:
            raise UsageError(f"{path} cannot be changed for a restart: there is no {edit.pattern!r} in it")
    return text


def place(places: Sequence[Place], fill: Fill) -> None:
    """Copy files of the state to where the application reads its input; what was there is kept beside it."""
    for one in places:
        source, target = fill(one.source), fill(one.target)
        if os.path.lexists(target) and not os.path.lexists(target + _FIRST):
            os.rename(target, target + _FIRST)
        shutil.copyfile(source, target + ".tmp")
        os.rename(target + ".tmp", target)


def _write(path: str, text: str) -> None:
    """Replace a file, so that its other names keep what they had."""
    with open(path + ".tmp", "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
    os.rename(path + ".tmp", path)
