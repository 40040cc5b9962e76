"""Bytes on storage. Only `posix` and its bases open for writing, sync, link, rename; every call goes by `syscalls`.

The names below are imported when they are first used: who a process is (`host`) can be told without them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from outlast.backends.base import Appender, Backend, Entry, Quota, Reader, Space, Spare
    from outlast.backends.posix import Posix
    from outlast.backends.syscalls import Syscalls

_HOMES = {"Posix": "posix", "Syscalls": "syscalls"}

__all__ = ["Appender", "Backend", "Entry", "Posix", "Quota", "Reader", "Space", "Spare", "Syscalls"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'outlast.backends' has no attribute {name!r}")
    return getattr(import_module(f"outlast.backends.{_HOMES.get(name, 'base')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
