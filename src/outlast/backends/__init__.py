"""Bytes on storage. Only `posix` opens for writing, syncs, links, renames; every call goes through `syscalls`."""

from outlast.backends.base import Appender, Backend, Entry, Reader, Space
from outlast.backends.posix import Posix
from outlast.backends.syscalls import Syscalls

__all__ = ["Appender", "Backend", "Entry", "Posix", "Reader", "Space", "Syscalls"]
