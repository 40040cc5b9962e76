"""Where things lie in a store, and reading small files whole. No decisions."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from outlast.backends import Backend
from outlast.errors import DamageError, StorageError
from outlast.format import jobs
from outlast.format.envelope import MAX_BYTES
from outlast.format.jobs import JobName

_P = ParamSpec("_P")
_R = TypeVar("_R")

STORE = "outlast.json"
MANIFEST = "manifest.json"
JOURNAL = "journal"
QUARANTINE = "quarantine"
CONTROL = "control"
JOBS = "jobs"
FILES = "files"
SAVES = "saves"
TRASH = ".trash-"

LOOKS = 3  # at what is made or removed at this very moment
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


def job_path(name: JobName) -> str:
    """Return the record of a placing of a job."""
    return f"{JOBS}/{name.format()}{jobs.ENDING}"


def job_of(file_name: str) -> JobName | None:
    """Return the placing that a record's file name belongs to; None for any other name."""
    return JobName.parse(file_name.removesuffix(jobs.ENDING)) if file_name.endswith(jobs.ENDING) else None


def is_listed(backend: Backend, path: str) -> bool:
    """Say whether fresh listings show a path; also True where one on the way is listed and cannot be opened.

    To ask by name is not enough: network storage may go on denying for a minute what is there. What a live run removes
    between two listings is no longer listed at the next look.
    """
    looks = (_is_listed(backend, path) for _ in range(LOOKS))
    return next((seen for seen in looks if seen is not None), True)


def _is_listed(backend: Backend, path: str) -> bool | None:
    """Look once; None where one on the way is listed and cannot be opened."""
    folder = ""
    for name in path.split("/"):
        try:
            entries = backend.list(folder, missing_ok=False)
        except FileNotFoundError:
            return None
        if all(entry.name != name for entry in entries):
            return False
        folder = f"{folder}/{name}" if folder else name
    return True


def told(method: Callable[_P, _R]) -> Callable[_P, _R]:
    """Have a name that is missing or taken leave `method` as an error of the storage: nobody expected it."""

    @functools.wraps(method)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return method(*args, **kwargs)
        except (FileNotFoundError, FileExistsError) as e:
            hint = "was the store changed by somebody else meanwhile?"
            raise StorageError(f"{e.filename}: {e.strerror}", hint=hint) from e

    return wrapped


def read_whole(backend: Backend, path: str, limit_bytes: int = MAX_BYTES) -> bytearray:
    """Read a file whole. Raises DamageError above the limit, FileNotFoundError if it is missing."""
    with backend.open(path) as file:
        if file.size_bytes > limit_bytes:
            raise DamageError(f"{path} has {file.size_bytes} bytes, more than {limit_bytes}", path=path)
        data = bytearray(file.size_bytes)
        file.read_into(memoryview(data), 0)
    return data
