"""The checkpoints that a program keeps in a folder of its own, as names: what they are, whether they rest, their order.

Links, hidden names and what looks like an unfinished file's name are passed over.
"""

from __future__ import annotations

import fcntl
import fnmatch
import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from outlast.supervise import wholeness

_UNFINISHED = (".tmp", ".part", ".partial", ".incomplete", ".lock")
_FICLONE = 0x40049409
_COPY_BYTES = 64 << 20
_MOST_DIGITS = 15
_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Belonging:
    """A file or a folder of the program's.

    Attributes:
        name: in the folder.
        changed_ns: when it, or what is in it, was last written to.
        signature: of sizes and times: equal ones mean that nobody has written meanwhile.
        number: the last number in its name; 0 if there is none, or one that counts no steps: nanoseconds, a digest.
    """

    name: str
    changed_ns: int
    signature: str
    number: int


def found(folder: str, patterns: Sequence[str] = ()) -> list[Belonging]:
    """Return what there is, in the order in which it was written. What vanishes meanwhile is left out."""
    names = sorted(entry.name for entry in os.scandir(folder) if _counts(entry, patterns))
    seen = [one for name in names if (one := look(folder, name)) is not None]
    return sorted(seen, key=lambda one: (one.changed_ns, one.number, one.name))


def look(folder: str, name: str) -> Belonging | None:
    """Return what there is of a name; None if it is gone."""
    digest, changed_ns = hashlib.blake2b(digest_size=16), 0
    try:
        for path, status in _files(os.path.join(folder, name)):
            changed_ns = max(changed_ns, status.st_mtime_ns)
            digest.update(f"{path}\0{status.st_ino}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(errors="replace"))
    except FileNotFoundError:
        return None
    last = (re.findall(r"\d+", os.path.splitext(name)[0]) or ["0"])[-1]
    number = int(last) if len(last) <= _MOST_DIGITS else 0
    return Belonging(name=name, changed_ns=changed_ns, signature=digest.hexdigest(), number=number)


def digest_of(path: str) -> str:
    """Return a digest of the contents of a file or folder. Raises OSError."""
    digest = hashlib.blake2b(digest_size=16)
    for inner, status in _files(path):
        digest.update(f"{inner}\0{status.st_size}\n".encode(errors="replace"))
        if stat.S_ISREG(status.st_mode):
            with open(os.path.join(path, inner) if inner else path, "rb") as file:
                while block := file.read(_READ_BYTES):
                    digest.update(block)
    return digest.hexdigest()


def copy(path: str, to: str) -> None:
    """Copy a file or folder; where the file system can, by sharing blocks. Links in it are left out.

    Never by a link: a program that writes into its file again would change the copy.

    Raises:
        OSError: it cannot be read, there is no room, or `to` exists.
    """
    if stat.S_ISREG(os.lstat(path).st_mode):
        _copy_file(path, to)
        return
    os.mkdir(to, 0o700)
    for entry in sorted(os.scandir(path), key=lambda one: one.name):
        if entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False):
            copy(entry.path, os.path.join(to, entry.name))


def _copy_file(path: str, to: str) -> None:
    with (
        open(path, "rb", buffering=0, opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW)) as source,
        open(to, "xb", buffering=0, opener=lambda name, flags: os.open(name, flags, 0o600)) as target,
    ):
        try:
            fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
        except OSError:  # another file system, or one that shares no blocks
            while os.sendfile(target.fileno(), source.fileno(), None, _COPY_BYTES):
                pass


def _counts(entry: os.DirEntry[str], patterns: Sequence[str]) -> bool:
    name = entry.name
    if name.startswith((".", "tmp")) or name.lower().endswith(_UNFINISHED) or entry.is_symlink():
        return False
    if patterns:
        return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)
    if entry.is_file(follow_symlinks=False):
        return wholeness.is_known(name)
    return entry.is_dir(follow_symlinks=False) and (name.startswith(wholeness.HF_FOLDER) or _holds_known(entry.path))


def _holds_known(folder: str) -> bool:
    """Say whether there is a checkpoint's file in a folder: one of logs is none of ours."""
    return any(wholeness.is_known(name) for _, _, names in os.walk(folder) for name in names)


def _files(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the files of a folder by their names in it, in order; of a file itself, with an empty name."""
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode):
        yield "", status
        return
    for folder, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            full = os.path.join(folder, name)
            yield os.path.relpath(full, path), os.lstat(full)
