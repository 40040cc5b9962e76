"""Copies a set of files out, and puts one back. What stands in the way is put aside, never over-written unsaid."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from outlast.errors import UsageError
from outlast.supervise import belongings
from outlast.supervise.recipes.sets import ASIDE, Chosen, look

ABOUT = "recipe.json"
_STATE = "state"
_ELSEWHERE = "_root"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One file of a checkpoint: where it belongs, and where it is kept in the checkpoint's folder."""

    path: str
    kept: str


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a checkpoint says of itself.

    Args:
        recipe: its name.
        version: of the facts in the recipe.
        step: the application's own; empty if it does not say.
        ranks: as many as it ran with; empty if that is not known.
        lead_s: from the request to stop until it had left, the longest that was measured; 0 if none was.
        print: of the contents: equal ones mean that nothing has changed.
        files: the state; empty in the first checkpoint, which says only that the run has begun.
        groups: parts of the step, by name.
        outputs: how long the outputs were, by path.
    """

    recipe: str
    version: str
    step: str = ""
    ranks: str = ""
    lead_s: float = 0.0
    print: str = ""
    files: tuple[Kept, ...] = ()
    groups: Mapping[str, str]
    outputs: Mapping[str, int]


def copy(chosen: Chosen, folder: str) -> tuple[Kept, ...] | None:
    """Copy a set into an empty folder; None if somebody wrote to one of its files meanwhile. Raises OSError."""
    kept = []
    for path, seen in chosen.files.items():
        inner = _inner(path)
        to = os.path.join(folder, inner)
        os.makedirs(os.path.dirname(to), mode=0o700, exist_ok=True)
        try:
            belongings.copy(path, to)
        except FileNotFoundError:
            return None
        os.utime(to, ns=(seen[1], seen[1]))
        kept.append(Kept(path=path, kept=inner))
    if any(look(path) != seen for path, seen in chosen.files.items()):
        return None
    return tuple(kept)


def _inner(path: str) -> str:
    """Return a path's place in a checkpoint."""
    relative = os.path.relpath(path)
    if relative.startswith(".."):
        return os.path.join(_STATE, _ELSEWHERE, os.path.abspath(path).lstrip("/"))
    return os.path.join(_STATE, relative)


def print_of(folder: str) -> str:
    """Return a digest of the state in a checkpoint's folder."""
    path = os.path.join(folder, _STATE)
    return belongings.digest_of(path) if os.path.isdir(path) else ""


def write(about: About, folder: str) -> None:
    with open(os.path.join(folder, ABOUT), "w", encoding="utf-8") as file:
        json.dump(asdict(about), file, indent=1)


def read(folder: str) -> About:
    """Return what a checkpoint says of itself. Raises UsageError if it is not one of a recipe."""
    try:
        with open(os.path.join(folder, ABOUT), encoding="utf-8") as file:
            found: dict[str, Any] = json.load(file)
        files = tuple(Kept(**one) for one in found.pop("files"))
        return About(**found, files=files)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as e:
        hint = "this store is not that of an application with a recipe; name another with --store"
        raise UsageError(f"the checkpoint does not say which recipe made it: {e}", hint=hint) from e


def put_back(about: About, folder: str, others: Iterable[str]) -> list[str]:
    """Make the state in the working directory that of a checkpoint.

    Args:
        about: what it says of itself.
        folder: its files; nothing in there is changed.
        others: files of the state that are there now.

    Returns:
        What was put aside, and is not said elsewhere.

    Raises:
        OSError: something cannot be copied or moved.
    """
    aside = []
    wanted = {one.path for one in about.files}
    for path in sorted(set(others) - wanted):
        put_aside(path)
        aside.append(path)
    for one in about.files:
        kept = os.path.join(folder, one.kept)
        if os.path.lexists(one.path):
            if _same(one.path, kept):
                continue
            put_aside(one.path)
            aside.append(one.path)
        _copy_back(kept, one.path)
    return aside


def _same(path: str, kept: str) -> bool:
    seen = look(path)
    return bool(seen) and seen[0] == os.stat(kept).st_size and _digest(path) == _digest(kept) if seen else False


def _digest(path: str) -> str:
    return belongings.digest_of(path)


def _copy_back(kept: str, path: str) -> None:
    folder = os.path.dirname(path) or "."
    os.makedirs(folder, exist_ok=True)
    draft = os.path.join(folder, f".{os.path.basename(path)}.outlast")
    if os.path.lexists(draft):
        os.unlink(draft)
    belongings.copy(kept, draft)
    status = os.stat(kept)
    os.chmod(draft, 0o666 & ~_umask())
    os.utime(draft, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.rename(draft, path)


def _umask() -> int:
    found = os.umask(0o077)
    os.umask(found)
    return found


def put_aside(path: str) -> None:
    """Move something into the folder `outlast-aside`, over what was put there before. Raises OSError."""
    relative = os.path.relpath(path)
    if relative.startswith(".."):
        relative = os.path.join(_ELSEWHERE, os.path.abspath(path).lstrip("/"))
    to = os.path.join(ASIDE, relative)
    os.makedirs(os.path.dirname(to), exist_ok=True)
    if os.path.isdir(to) and not os.path.islink(to):
        shutil.rmtree(to)
    elif os.path.lexists(to):
        os.unlink(to)
    shutil.move(path, to)
    _drop_empty(os.path.dirname(path))


def _drop_empty(folder: str) -> None:
    """Remove folders that became empty: a torn time directory would be taken for the latest."""
    while folder and os.path.abspath(folder) != os.getcwd() and not os.listdir(folder):
        os.rmdir(folder)
        folder = os.path.dirname(folder)


def said(paths: Sequence[str]) -> str:
    """Name some files."""
    shown = ", ".join(paths[:3])
    return shown if len(paths) <= 3 else f"{shown} and {len(paths) - 3} more"  # noqa: PLR2004  (three are enough)
