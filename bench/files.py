"""Files as the bench sees them from outside: which are new, syncing them, and having the kernel forget them."""

from __future__ import annotations

import os
from collections.abc import Iterator

Listing = dict[tuple[str, int], tuple[int, int]]
_BLOCK_BYTES = 1 << 20


def listing(folder: str) -> Listing:
    """Return size and time of change of every file below `folder`, by path and inode."""
    found: Listing = {}
    for path in _paths(folder):
        known = os.stat(path)
        found[path, known.st_ino] = (known.st_size, known.st_mtime_ns)
    return found


def written_bytes(before: Listing, after: Listing) -> int:
    """Return the bytes of all files that are new or rewritten; of those that grew, what was added."""
    return sum(_added(before.get(which), now) for which, now in _touched(before, after).items())


def _added(before: tuple[int, int] | None, now: tuple[int, int]) -> int:
    return now[0] - before[0] if before and now[0] > before[0] else now[0]


def new_files(before: Listing, after: Listing) -> int:
    """Return how many files are new: also those that took the blocks of another one."""
    return len(_touched(before, after).keys() - before.keys())


def _touched(before: Listing, after: Listing) -> Listing:
    """Return what was written to; a file that only has another name now was not."""
    known = {(inode, *seen) for (_, inode), seen in before.items()}
    return {which: now for which, now in after.items() if (which[1], *now) not in known}


def sync_new(folder: str, before: Listing) -> None:
    """Sync what is new or changed since `before`, and every folder: what a careful user of the peer would add."""
    for which, now in listing(folder).items():
        if before.get(which) != now:
            _sync(which[0], os.O_RDONLY)
    for path, _, _ in os.walk(folder):
        _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def forget(folder: str) -> None:
    """Have the kernel drop what it caches of every file; all must be synced."""
    for path in _paths(folder):
        at = os.open(path, os.O_RDONLY)
        os.fsync(at)
        os.posix_fadvise(at, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(at)


def cached_share(folder: str) -> float:
    """Return which share of the blocks is still in the kernel's cache: near 0 if a read of them is a cold one."""
    asked = [
        _is_cached(path, start) for path in _paths(folder) for start in range(0, os.path.getsize(path), _BLOCK_BYTES)
    ]
    return sum(asked) / len(asked) if asked else 0.0


def read_through(folder: str) -> None:
    """Read every file once, so that the kernel has it in its cache."""
    buffer = bytearray(_BLOCK_BYTES)
    for path in _paths(folder):
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def _is_cached(path: str, start: int) -> bool:
    at = os.open(path, os.O_RDONLY)
    try:
        return os.preadv(at, [bytearray(1)], start, os.RWF_NOWAIT) == 1
    except (BlockingIOError, OSError):  # would have to wait for the disk, or cannot tell
        return False
    finally:
        os.close(at)


def _sync(path: str, flags: int) -> None:
    at = os.open(path, flags)
    os.fsync(at)
    os.close(at)


def _paths(folder: str) -> Iterator[str]:
    for parent, _, names in os.walk(folder):
        for name in names:
            yield os.path.join(parent, name)
