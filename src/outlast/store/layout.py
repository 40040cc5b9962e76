"""Where things lie in a store, and reading small files whole. No decisions."""

from __future__ import annotations

import re

from outlast.backends import Backend
from outlast.errors import DamageError

STORE = "outlast.json"
MANIFEST = "manifest.json"
JOURNAL = "journal"
QUARANTINE = "quarantine"
CONTROL = "control"
FILES = "files"
TRASH = ".trash-"

MAX_TABLE_BYTES = 256 << 20
MAX_JOURNAL_BYTES = 4 << 30

_ATTEMPT = re.compile(r"a([0-9]{4}|[1-9][0-9]{4,8})\.jsonl")


def part_name(rank: int) -> str:
    """Return the file name of a rank's part."""
    return f"part-{rank:05d}.safetensors"


def journal_path(attempt: int) -> str:
    """Return the journal of an attempt, which is also its claim."""
    return f"{JOURNAL}/a{attempt:04d}.jsonl"


def attempt_of(file_name: str) -> int | None:
    """Return the attempt that a journal's file name belongs to; None for any other name."""
    match = _ATTEMPT.fullmatch(file_name)
    return int(match[1]) if match else None


def read_whole(backend: Backend, path: str, limit_bytes: int = MAX_TABLE_BYTES) -> bytearray:
    """Read a file whole. Raises DamageError above the limit, FileNotFoundError if it is missing."""
    with backend.open(path) as file:
        if file.size_bytes > limit_bytes:
            raise DamageError(f"{path} has {file.size_bytes} bytes, more than {limit_bytes}", path=path)
        data = bytearray(file.size_bytes)
        file.read_into(memoryview(data), 0)
    return data
