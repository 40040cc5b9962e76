"""`outlast recipes [NAME]`: the applications that `outlast run --recipe` knows, and where each fact comes from."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from outlast.cli import arguments, output

if TYPE_CHECKING:
    from collections.abc import Iterable

    from outlast.supervise.recipes.recipe import Recipe
    from outlast.supervise.recipes.registry import Source

_EPILOG = """\
With NAME: what the recipe does, the source of each fact, and its file, to copy and change. NAME may be a path.
One's own: put it as NAME.toml into ~/.config/outlast/recipes, or name its path: outlast run --recipe ./mine.toml.
How it is written: docs/reference/recipes.md. A fact marked "unverified" is general knowledge that nobody has looked up.
"""


def add(verbs: arguments.Verbs[argparse.ArgumentParser]) -> None:
    parser = arguments.verb(verbs, "recipes", epilog=_EPILOG)
    parser.add_argument("name", metavar="NAME", nargs="?", help="show this one, and how to write one's own")


def main(args: argparse.Namespace) -> int:
    from outlast.errors import DONE, USAGE
    from outlast.supervise.recipes import registry

    if args.name:
        one = registry.source(args.name)
        _show(one.read(), one, as_json=args.json)
        return DONE
    found, wrong = _read(registry.sources().values())
    status = USAGE if wrong else DONE
    for said in wrong:
        print(f"outlast: error: {said}", file=sys.stderr)
    if args.json:
        output.as_json({"recipes": [_document(recipe, one.where) for one, recipe in found], "errors": wrong})
        return status
    rows = [(one.name, recipe.title, _means(recipe), recipe.tried or "no", _verified(recipe)) for one, recipe in found]
    output.table(rows, ("recipe", "application", "asked to stop by", "tried with", "facts with a source"))
    return status


def _read(sources: Iterable[Source]) -> tuple[list[tuple[Source, Recipe]], list[str]]:
    """Return those that can be read, and what is wrong with the others."""
    from outlast.errors import UsageError

    found, wrong = [], []
    for one in sources:
        try:
            found.append((one, one.read()))
        except UsageError as e:
            wrong.append(str(e))
    return found, wrong


def _document(recipe: Recipe, where: str) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(recipe), "where": where}


def _means(recipe: Recipe) -> str:
    """Say how the application is asked to stop."""
    stop = recipe.stop
    ways = {"signal": f"SIG{stop.signal}", "file": f"file {stop.file}", "none": ""}[stop.how]
    limit = " ".join(recipe.limit.arguments) if recipe.limit else ""
    return " or ".join(one for one in (ways, limit) if one) or "nothing: what it saves by itself counts"


def _verified(recipe: Recipe) -> str:
    return f"{sum(one.verified for one in recipe.facts)} of {len(recipe.facts)}"


def _show(recipe: Recipe, source: Source, *, as_json: bool) -> None:
    if as_json:
        output.as_json({**_document(recipe, source.where), "text": source.text})
        return
    output.say(f"{recipe.name}: {recipe.title}")
    output.say(f"from: {source.where}")
    output.say(f"tried with the application itself: {recipe.tried or 'no'}")
    output.say(f"asked to stop by: {_means(recipe)}")
    output.say("")
    for fact in recipe.facts:
        output.say(f"- {fact.says} [{fact.source if fact.verified else 'unverified'}]")
    for note in recipe.notes:
        output.say(f"note: {note}")
    output.say("")
    output.say("Its file; copy it to ~/.config/outlast/recipes/NAME.toml and change it (docs/reference/recipes.md):")
    output.say("")
    for line in source.text.splitlines():
        output.say(line)
