"""Where the user's command is at home, and copies of that. Each run works in one; the original stays as it is."""

from __future__ import annotations

import fnmatch
import glob
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from outlast.errors import UsageError
from outlast.units import format_size

_MOST_BYTES = 256 << 20
_MOST_FILES = 20_000
_NEVER = frozenset({".git", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".ipynb_checkpoints"})
_STORE = "outlast.json"
_ENVIRONMENTS = ("pyvenv.cfg", "conda-meta")  # many files, never written: a link does
_Sign = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A folder, and what of it is copied.

    Args:
        folder: the command's working directory.
        files: what is copied, relative to it.
        folders: what is made, with nothing in it but what is copied.
        links: what is linked to, relative to it.
        signs: of the files as they were, to see that nobody changes them.
    """

    folder: str
    files: tuple[str, ...]
    folders: tuple[str, ...]
    links: tuple[str, ...]
    signs: dict[str, _Sign] = field(default_factory=dict)

    def copy_to(self, place: str) -> str:
        """Make a copy below `place`; return the working directory in it."""
        work = os.path.join(place, os.path.basename(self.folder) or "root")
        os.makedirs(work)
        for name in self.folders:
            os.makedirs(_inside(place, work, name), exist_ok=True)
        for name in self.files:
            to = _inside(place, work, name)
            os.makedirs(os.path.dirname(to), exist_ok=True)
            shutil.copy2(os.path.join(self.folder, name), to, follow_symlinks=False)
        for name in self.links:
            to = _inside(place, work, name)
            os.makedirs(os.path.dirname(to), exist_ok=True)
            os.symlink(os.path.realpath(os.path.join(self.folder, name)), to)
        return work

    def there(self, command: Sequence[str], work: str) -> list[str]:
        """Return the command with what it names below the original folder by an absolute path as it is in the copy."""
        at = self.folder.rstrip("/") + "/"
        moved = (os.path.join(work, word.removeprefix(at)) if word.startswith(at) else word for word in command)
        return [new if os.path.lexists(new) else old for new, old in zip(moved, command, strict=True)]

    def is_changed(self, name: str, work: str) -> bool:
        """Say whether a file in a copy has been written to, or is another one by now."""
        sign = self.signs.get(name)
        try:
            about = os.lstat(os.path.join(work, name))
        except FileNotFoundError:
            return True
        return sign is not None and (about.st_mtime_ns, about.st_size) != sign[:2]

    def touched(self) -> tuple[str, ...]:
        """Return the names of the files here that were made or changed since they were looked at."""
        now = dict(_signs(self.folder))
        return tuple(sorted(name for name, sign in now.items() if self.signs.get(name) != sign))


def survey(
    folder: str,
    *,
    copy: Sequence[str] | None = None,
    link: Sequence[str] = (),
    leave_out: Sequence[str] = (),
) -> Origin:
    """Look at what a run needs of a folder.

    Args:
        folder: the command's working directory.
        copy: patterns of what is copied; None: all but stores, caches and environments (which are linked to).
        link: patterns of what is only read, and linked to instead.
        leave_out: patterns of what is not to be there when a run begins: results, checkpoints of before.

    Raises:
        UsageError: a pattern matches nothing, or it is too much to be copied unasked.
    """
    links = [name for pattern in link for name in _matches(folder, pattern)]
    roots = None if copy is None else [name for pattern in copy for name in _matches(folder, pattern)]
    files: list[str] = []
    folders: list[str] = []
    size_bytes = 0
    for root in [""] if roots is None else roots:
        for name, is_folder in _walk(folder, root, links, leave_out):
            (folders if is_folder else files).append(name)
            size_bytes += 0 if is_folder else os.lstat(os.path.join(folder, name)).st_size
            if roots is None and (size_bytes > _MOST_BYTES or len(files) > _MOST_FILES):
                raise UsageError(
                    f"each run gets a copy of {folder}, which holds more than {format_size(_MOST_BYTES)} or "
                    f"{_MOST_FILES} files",
                    hint="name what the program needs (--copy train.py) and what it only reads (--link data)",
                )
    return Origin(
        folder=folder,
        files=tuple(dict.fromkeys(files)),
        folders=tuple(dict.fromkeys(folders)),
        links=tuple(dict.fromkeys(links)),
        signs=dict(_signs(folder)),
    )


def _matches(folder: str, pattern: str) -> list[str]:
    found = sorted(glob.glob(pattern, root_dir=folder, recursive=True))
    if not found:
        raise UsageError(f"{pattern!r} matches nothing in {folder}")
    return [os.path.relpath(os.path.join(folder, name), folder) for name in found]


def _walk(folder: str, root: str, links: list[str], leave_out: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Yield what is below `root`, relative to the folder, and whether it is a folder; add environments to `links`."""
    todo = [root]
    while todo:
        name = todo.pop()
        path = os.path.join(folder, name)
        if name in links or _is_left_out(name, leave_out):
            continue
        if not os.path.isdir(path) or os.path.islink(path):
            if os.path.isfile(path) or os.path.islink(path):
                yield name, False
            continue
        inside = sorted(os.listdir(path))
        if name and any(mark in inside for mark in _ENVIRONMENTS):
            links.append(name)
            continue
        if _STORE in inside or (name and os.path.basename(name) in _NEVER):
            continue
        if name:
            yield name, True
        todo += [os.path.join(name, each) for each in inside]


def _is_left_out(name: str, patterns: Sequence[str]) -> bool:
    found = (pattern.rstrip("/") for pattern in patterns)
    return any(fnmatch.fnmatch(name, one) or fnmatch.fnmatch(name, one.replace("**/", "")) for one in found)


def _signs(folder: str) -> Iterator[tuple[str, _Sign]]:
    """Yield the files that stand here, a few levels deep, with what changes when they do."""
    todo = [""]
    count = 0
    while todo and count < _MOST_FILES:
        name = todo.pop()
        try:
            entries = list(os.scandir(os.path.join(folder, name)))
        except OSError:
            continue
        for entry in entries:
            at = os.path.join(name, entry.name)
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _NEVER:
                    todo.append(at)
            elif entry.is_file(follow_symlinks=False):
                about = entry.stat(follow_symlinks=False)
                count += 1
                yield at, (about.st_mtime_ns, about.st_size, about.st_ino)


def _inside(place: str, work: str, name: str) -> str:
    """Return where something lies in the copy. Raises UsageError if that is out of it."""
    to = os.path.normpath(os.path.join(work, name))
    if not to.startswith(place.rstrip("/") + "/"):
        raise UsageError(f"{name} lies too far from the command's folder to be copied with it")
    return to
