"""Which files make a checkpoint now, and whether they belong together. Looks only; copying is in `keeping`."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from outlast.supervise.recipes.recipe import Match, State
from outlast.supervise.recipes.words import HOLE

ASIDE = "outlast-aside"
_TAIL_BYTES = 1 << 16

Fill = Callable[[str], str]
Signature = tuple[int, int, int]
"""Size, time of the last change, inode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A set of files.

    Args:
        files: their paths, with what was seen of each.
        step: as the application counts; empty where the files do not say.
        problem: why it is no checkpoint; empty if it is one.
        newest: the path that was written last.
        groups: named groups of `generation`.
    """

    files: Mapping[str, Signature]
    step: str = ""
    problem: str = ""
    groups: Mapping[str, str]

    @property
    def newest(self) -> str:
        return max(self.files, key=lambda path: (self.files[path][1], path), default="")


def chosen(state: State, fill: Fill, before: Mapping[str, Signature]) -> Chosen:
    """Return the set that is there.

    Args:
        state: what the recipe says.
        fill: puts values in the place of variables.
        before: what was seen of the set that was taken last.
    """
    needed = {pattern: matches([pattern], state, fill) for pattern in state.files}
    missing = [fill(pattern) for pattern, found in needed.items() if not found]
    if missing:
        return _no(f"{', '.join(missing)} is not there")
    files = {path: seen for found in needed.values() for path, seen in found.items()}
    if state.generation:
        return _generation(state, fill, {**files, **matches(state.optional, state, fill)})
    if state.pick == "newest":
        newest = max(files, key=lambda path: (files[path][1], path))
        files = {newest: files[newest]}
    elif state.together and (mixed := _mixed(files, before)):
        return _no(mixed)
    problem = _problem(state, fill, files)
    step, said = _step(state.steps, fill)
    files |= matches(state.optional, state, fill)
    return Chosen(files=files, step=step, problem=problem or said, groups={})


def matches(patterns: Sequence[str], state: State, fill: Fill) -> dict[str, Signature]:
    """Return the regular files that match, those in folders that match too. What vanishes meanwhile is left out."""
    excluded = {path for one in state.excluded for path in paths(one, fill, hidden=True)}
    found: dict[str, Signature] = {}
    for pattern in patterns:
        for path in paths(pattern, fill, hidden=True):
            for inner in _files(path):
                seen = look(inner)
                if seen and inner not in excluded and not any(inner.startswith(one + "/") for one in excluded):
                    found[inner] = seen
    return found


def paths(pattern: str, fill: Fill, *, hidden: bool = False) -> list[str]:
    """Return what a pattern finds, in order. A variable's value is a name and no pattern: a job may be called `run[1]`.

    Args:
        pattern: with `*`, `?`, `[...]`, `**`.
        fill: puts values in the place of variables.
        hidden: wildcards stand for names that begin with a dot, too.
    """
    escaped = HOLE.sub(lambda hole: glob.escape(fill(hole[0])), pattern)
    return sorted(glob.glob(escaped, recursive=True, include_hidden=hidden))


def look(path: str) -> Signature | None:
    """Return what there is to see of a file; None where there is no regular file."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def _files(path: str) -> Iterator[str]:
    if os.path.islink(path) or not os.path.isdir(path):
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if name != ASIDE)
        yield from (os.path.join(folder, name) for name in sorted(names))


def _no(problem: str) -> Chosen:
    return Chosen(files={}, problem=problem, groups={})


def _mixed(files: Mapping[str, Signature], before: Mapping[str, Signature]) -> str:
    old = [path for path, seen in files.items() if before.get(path) == seen]
    if old and len(old) < len(files):
        return f"{', '.join(old)}: not written yet, and other files of the set are"
    return ""


def _problem(state: State, fill: Fill, files: Mapping[str, Signature]) -> str:
    for path, seen in files.items():
        if not seen[0]:
            return f"{path} is empty"
    for match in state.whole:
        for path in paths(match.file, fill):
            if path in files and not re.search(match.pattern, tail(path), re.MULTILINE):
                return f"{path} has no end"
    return ""


def _step(steps: Sequence[Match], fill: Fill) -> tuple[str, str]:
    """Return the step that stands in the files, and what is wrong with it."""
    found: dict[str, str] = {}
    for match in steps:
        for path in paths(match.file, fill):
            hits = re.findall(match.pattern, tail(path), re.MULTILINE)
            if not hits:
                return "", f"{path} does not say its step"
            found[path] = hits[-1]
    if len(set(found.values())) > 1:
        said = ", ".join(f"{path} is of step {step}" for path, step in found.items())
        return "", f"they do not belong together: {said}"
    return next(iter(found.values()), ""), ""


def tail(path: str) -> str:
    """Return the last part of a file; nothing if it is gone."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _generation(state: State, fill: Fill, files: Mapping[str, Signature]) -> Chosen:
    """Return the newest generation in which every rank that there was has the same files."""
    kinds: dict[str, dict[str, dict[str, str]]] = {}
    groups: dict[str, dict[str, str]] = {}
    for path in files:
        match = re.search(state.generation, path)
        if match:
            named = {name: value or "" for name, value in match.groupdict().items()}
            member = _without(path, match)
            kinds.setdefault(named["generation"], {}).setdefault(named.get("rank", ""), {})[member] = path
            groups[named["generation"]] = named
    problem = "no file is of any generation"
    for generation in sorted(kinds, key=order, reverse=True):
        ranks = kinds[generation]
        wanted = {rank for other, found in kinds.items() if order(other) <= order(generation) for rank in found}
        inner = {path: files[path] for found in ranks.values() for path in found.values()}
        lacking = sorted(wanted - set(ranks))
        torn = len({frozenset(found) for found in ranks.values()}) > 1
        said = f"{generation}: {', '.join(lacking)} has nothing of it" if lacking else _problem(state, fill, inner)
        if not said and not torn:
            return Chosen(files=inner, step=generation, groups=groups[generation])
        problem = said or f"{generation}: not every rank has the same files"
    return _no(problem)


def order(generation: str) -> tuple[float, str]:
    """Order generations: numbers by their value, others (dates) as text."""
    try:
        return float(generation), generation
    except ValueError:
        return 0.0, generation


def _without(path: str, match: re.Match[str]) -> str:
    spans = sorted((match.span(name) for name in match.groupdict() if match.group(name) is not None), reverse=True)
    for begin, end in spans:
        path = path[:begin] + "*" + path[end:]
    return path
