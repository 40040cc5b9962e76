"""A file that a user asked for: made whole and durable, never over another one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outlast.backends.base import Buffer


def check_place(out: str) -> None:
    """Raise UsageError if a file cannot be made there: before the work that its contents take."""
    from outlast.errors import UsageError

    if os.path.lexists(out):
        raise UsageError(f"{out} exists", hint="name another file; nothing is overwritten")
    folder = os.path.dirname(os.path.abspath(out))
    if not os.path.isdir(folder):
        raise UsageError(f"{out}: there is no directory {folder}")


def write(out: str, blocks: Sequence[Buffer]) -> int:
    """Make the file; return its size in bytes. Raises UsageError if there is one by now."""
    from outlast.backends import Posix
    from outlast.errors import UsageError

    folder, name = os.path.split(os.path.abspath(out))
    backend = Posix(folder)
    try:
        size = backend.create(name, blocks, mode=0o666)  # less the umask, as for any file that a user asks for
    except FileExistsError:
        raise UsageError(f"{out} exists by now", hint="name another file; nothing is overwritten") from None
    except FileNotFoundError as e:
        raise UsageError(f"{out} cannot be made: {e.strerror}", hint="name another file") from None
    backend.sync("")
    return size
