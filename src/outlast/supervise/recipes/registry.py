"""The recipes that are known: a file that was named, the user's own, those of other packages, ours; in this order."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

from outlast.errors import UsageError
from outlast.plugins import entry_points
from outlast.supervise.recipes import reading
from outlast.supervise.recipes.recipe import Recipe

GROUP = "outlast.recipes"
_ENDING = ".toml"
_OURS = "outlast.supervise.recipes.shipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A recipe's text, and where it stands. `problem`: why there is no text."""

    name: str
    where: str
    text: str = ""
    problem: str = ""

    def read(self) -> Recipe:
        """Return the recipe. Raises UsageError if it is wrong, or cannot be read."""
        if self.problem:
            raise UsageError(self.problem)
        return reading.parse(self.text, where=self.where)


def sources() -> dict[str, Source]:
    """Return all recipes by name, not parsed: a bad one is nobody's concern but of who names it.

    Raises:
        UsageError: a package that brings some cannot be loaded.
    """
    found: dict[str, Source] = {}
    for one in (*_users(), *_packages(), *_of("outlast", _OURS)):
        found.setdefault(one.name, one)
    return dict(sorted(found.items()))


def source(name: str) -> Source:
    """Return one recipe's text; `name` may be a path, told by its `/` or its ending. Raises UsageError."""
    if "/" in name or name.endswith(_ENDING):
        return Source(name=os.path.basename(name).removesuffix(_ENDING), where=name, text=_text(name))
    known = sources()
    if name not in known:
        raise UsageError(f"there is no recipe {name!r}", hint=f"known are: {', '.join(known)}; or give a path")
    return known[name]


def named(name: str) -> Recipe:
    """Return one recipe. Raises UsageError if there is none, or it is wrong."""
    return source(name).read()


def users_folder() -> str:
    """Return the folder where a user's own recipes are looked for."""
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(base, "outlast", "recipes")


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as e:
        raise UsageError(f"the recipe {path} cannot be read: {e}") from e


def _users() -> Iterator[Source]:
    folder = users_folder()
    if os.path.isdir(folder):
        for name in sorted(os.listdir(folder)):
            if name.endswith(_ENDING):
                path = os.path.join(folder, name)
                try:
                    yield Source(name=name.removesuffix(_ENDING), where=path, text=_text(path))
                except UsageError as e:
                    yield Source(name=name.removesuffix(_ENDING), where=path, problem=str(e))


def _packages() -> Iterator[Source]:
    """Yield those of other packages: the entry point names a package of theirs, in which the TOML files lie."""
    for entry in entry_points(group=GROUP):
        yield from _of(entry.name, entry.value)


def _of(owner: str, package: str) -> Iterator[Source]:
    try:
        folder = resources.files(package)
        files = sorted((one for one in folder.iterdir() if one.name.endswith(_ENDING)), key=lambda one: one.name)
    except (ImportError, OSError) as e:
        raise UsageError(f"the recipes of {owner!r} cannot be loaded: {e}") from e
    for one in files:
        text = one.read_text(encoding="utf-8")
        yield Source(name=one.name.removesuffix(_ENDING), where=f"{owner}: {one.name}", text=text)
