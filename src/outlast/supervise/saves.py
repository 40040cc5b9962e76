"""The folders in the store's `saves/` that an attempt's files come to, and in which they are restored."""

from __future__ import annotations

import os
from contextlib import suppress

from outlast.backends import Posix
from outlast.errors import StorageError
from outlast.store import AttemptLog
from outlast.store import files as taking
from outlast.store.layout import SAVES

RESTORED = ".restored"


def new_token() -> str:
    """Return a name for the folder that an attempt's saves come to."""
    return os.urandom(6).hex()


def save_folder(store: str, token: str) -> str:
    """Return the absolute path of that folder."""
    return os.path.join(os.path.abspath(store), SAVES, token)


def clear(backend: Posix, token: str) -> None:
    """Remove an attempt's folders. Raises StorageError."""
    for name in (token, f"{token}{RESTORED}"):
        taking.remove_tree(backend, f"{SAVES}/{name}")
    with suppress(StorageError, FileNotFoundError):  # somebody else's is in it
        backend.remove(SAVES)


def is_of_files(log: AttemptLog) -> bool:
    """Say whether an attempt was one of a program that saves files."""
    return bool((log.last("restored") or log.first("started") or {}).get("files"))
