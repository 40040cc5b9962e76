"""Who else decides where a path leads: links, directories and modes of other users on a shared file system.

A store is a directory of ours (or root's). Where everybody may make names, another user can be there first: with a
directory of the store's name, or a link from it to files of ours. That is refused. What is only unusual, as a
store of a colleague, is said.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from outlast.errors import UsageError

_NOBODY = 65534  # whom a server or a container shows for users that it does not know, us among them


def is_foreign(uid: int) -> bool:
    """Say whether a user is neither this process's, nor root, nor unknown."""
    return uid not in (os.geteuid(), 0, _NOBODY)


def check_way(path: str) -> None:
    """Refuse a link of somebody else in a directory where everybody may make one, as Linux does in sticky ones.

    Raises:
        UsageError: there is such a link on the way to `path`.
    """
    for name in _way(path):
        try:
            found, parent = os.lstat(name), os.stat(os.path.dirname(name))
        except OSError:
            return  # what is not there yet is made by us, or refused by the storage
        _check_link(name, found, parent)


def _check_link(name: str, found: os.stat_result, parent: os.stat_result) -> None:
    is_planted = is_foreign(found.st_uid) and found.st_uid != parent.st_uid
    if stat.S_ISLNK(found.st_mode) and is_planted and parent.st_mode & stat.S_IWOTH:
        message = f"{name} is a link that user {found.st_uid} has put where everybody may: it is not followed"
        raise UsageError(message, hint="name another directory")


def check_root(path: str, found: os.stat_result) -> tuple[str, ...]:
    """Judge a store's directory before anything is written to it; return what its user is to know.

    Args:
        path: the store's.
        found: the directory that was opened by this path. It may be another one than now: a link may have stood
            there for a moment.

    Raises:
        UsageError: somebody else was there first.
    """
    named = os.lstat(path)
    _check_link(path, named, os.stat(os.path.dirname(path)))
    if not stat.S_ISLNK(named.st_mode) and not os.path.samestat(named, found):
        raise UsageError(f"{path} was replaced while it was being opened", hint="name another directory")
    said = []
    if is_foreign(found.st_uid):
        parent = os.stat(os.path.dirname(path))
        if parent.st_mode & stat.S_IWOTH and found.st_uid != parent.st_uid:
            message = f"{path} belongs to user {found.st_uid}, who has made it where everybody may make one"
            raise UsageError(message, hint="name another directory; or work as that user")
        said.append(f"{path} belongs to user {found.st_uid}, who can change what a restart goes on from")
    if found.st_uid == _NOBODY != os.geteuid() and os.stat(os.path.dirname(path)).st_mode & stat.S_IWOTH:
        said.append(f"whose {path} is cannot be told here (a user namespace, or a server that hides users)")
    if found.st_mode & stat.S_IWOTH:
        mode = f"{stat.S_IMODE(found.st_mode):04o}"
        said.append(
            f"everybody may write to {path} (mode {mode}), and so change what a restart goes on from: chmod o-w {path}"
        )
    return tuple(said)


def is_exposed(path: str) -> bool:
    """Say whether everybody may put something else in the place of `path`, or of a directory on the way to it."""
    return any(_is_free_for_all(os.path.dirname(name)) for name in _way(os.path.realpath(path)))


def _is_free_for_all(folder: str) -> bool:
    mode = os.stat(folder).st_mode
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX


def _way(path: str) -> Iterator[str]:
    """Yield `path` and what lies on the way to it, from the outermost."""
    names = path.strip("/").split("/")
    for count in range(1, len(names) + 1):
        yield "/" + "/".join(names[:count])
