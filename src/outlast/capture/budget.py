"""How much memory is left for a copy of the state, before the kernel kills somebody for it."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from pathlib import Path

_MARGIN_BYTES = 64 << 20  # for the writer's buffers, the manifest, and what the program does meanwhile
_UNLIMITED_BYTES = 1 << 60
_V2_FOLDERS = ("sys/fs/cgroup", "sys/fs/cgroup/unified")
_V1_FOLDER = "sys/fs/cgroup/memory"
_ROOT = Path("/")
_Left = Callable[[Path], Iterator[int]]


def room_for(size_bytes: int) -> int:
    """Return how much must be left for a copy of this size: as much again, or the margin if that is less."""
    return size_bytes + min(size_bytes, _MARGIN_BYTES)


def available_bytes(root: Path = _ROOT) -> int:
    """Return how much memory this process may still take: what the machine, its cgroups and its limits have left.

    Args:
        root: of the file system; another one in tests.
    """
    left = [*_of_machine(root), *_of_cgroups(root), *_of_limit(root)]
    return max(0, min(left, default=_UNLIMITED_BYTES))


def _of_machine(root: Path) -> Iterator[int]:
    for line in _lines(root / "proc/meminfo"):
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            yield int(value.split()[0]) << 10


def _of_limit(root: Path) -> Iterator[int]:
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    for line in _lines(root / "proc/self/statm"):
        if soft != resource.RLIM_INFINITY:
            yield soft - int(line.split()[0]) * resource.getpagesize()


def _of_cgroups(root: Path) -> Iterator[int]:
    """Yield what each memory cgroup of this process has left, from its own one to the outermost that is to be seen."""
    for line in _lines(root / "proc/self/cgroup"):
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            for folder in _V2_FOLDERS:
                yield from _upwards(root / folder, path, _left_v2)
        elif "memory" in controllers.split(","):
            yield from _upwards(root / _V1_FOLDER, path, _left_v1)


def _upwards(mount: Path, path: str, left: _Left) -> Iterator[int]:
    group = mount / path.strip("/")
    while True:  # in a container the path may be the host's: then only the mount itself is there
        yield from left(group)
        if group == mount or mount not in group.parents:
            return
        group = group.parent


def _left_v1(group: Path) -> Iterator[int]:
    yield from _left(group, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def _left_v2(group: Path) -> Iterator[int]:
    yield from _left(group, "memory.max", "memory.current", "inactive_file")


def _left(group: Path, limit: str, used: str, reclaimable: str) -> Iterator[int]:
    limits, uses = _numbers(group / limit), _numbers(group / used)
    if limits and uses and limits[0] < _UNLIMITED_BYTES:
        stat = dict(line.split(" ", 1) for line in _lines(group / "memory.stat"))
        yield limits[0] - uses[0] + int(stat.get(reclaimable, 0))


def _numbers(path: Path) -> list[int]:
    return [int(line) for line in _lines(path) if line.isdecimal()]  # and not "max"


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):  # no such controller, or it is not for us to read
        return []
