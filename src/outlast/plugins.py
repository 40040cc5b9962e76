"""Plug-ins of installed packages, by their entry points: read by hand, for speed.

`importlib.metadata` imports forty modules, which would be a fifth of what `outlast run` adds to a start. It is asked
where packages lie elsewhere than in plain folders: in archives, in eggs, or behind an importer of somebody's own.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any, NamedTuple

_FOLDERS = (".dist-info", ".egg-info")
_FILE = "entry_points.txt"


class EntryPoint(NamedTuple):
    """What a package offers.

    Args:
        name: how it is called.
        value: `module:attribute`, or a module alone.
    """

    name: str
    value: str

    def load(self) -> Any:
        """Import it. Raises ImportError or AttributeError if it is not there."""
        module, _, path = self.value.partition("[")[0].partition(":")
        found: Any = import_module(module.strip())
        for name in filter(None, path.strip().split(".")):
            found = getattr(found, name)
        return found


def entry_points(group: str) -> tuple[EntryPoint, ...]:
    """Return the entry points of a group. Of a package that lies in several folders the first one counts."""
    if not _is_plain():
        from importlib.metadata import entry_points as all_entry_points

        return tuple(EntryPoint(one.name, one.value) for one in all_entry_points(group=group))
    return tuple(point for text in _texts(group) for point in parse(text, group))


def parse(text: str, group: str) -> Iterator[EntryPoint]:
    """Yield the entry points of a group that a package's file names."""
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line.strip("[]").strip()
        elif section == group and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            yield EntryPoint(name.strip(), value.strip())


def _is_plain() -> bool:
    """Say whether all packages lie in folders, as their installers leave them."""
    finders = [one for one in sys.meta_path if hasattr(one, "find_distributions")]
    paths = [path for path in sys.path if path.endswith(".egg") or os.path.isfile(path)]
    return len(finders) == 1 and not paths


def _texts(group: str) -> Iterator[str]:
    """Yield the files of the packages that say something about a group."""
    seen: set[str] = set()
    for folder in dict.fromkeys(path or os.curdir for path in sys.path):
        for name in sorted(_packages(folder)):
            package = re.sub(r"[-_.]+", "_", os.path.splitext(name)[0].partition("-")[0].lower())
            if package not in seen:
                seen.add(package)
                text = _read(os.path.join(folder, name, _FILE))
                if group in text:
                    yield text


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return ""  # most packages offer nothing


def _packages(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if name.endswith(_FOLDERS)]
    except OSError:
        return []
