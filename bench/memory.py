"""How much memory a save takes beside the state: the peak of this process, and what forked children hold alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_LOOK_S = 0.02
_RESET_PEAK = "5"


@dataclass(slots=True)
class Peak:
    """The most memory over a stretch of time, in bytes."""

    own_bytes: int = 0
    children_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        return self.own_bytes + self.children_bytes


def resident_bytes() -> int:
    return _status("VmRSS")


@contextmanager
def peak() -> Iterator[Peak]:
    """Watch until the block ends; then the peak is known. Changes the timing: measure times elsewhere."""
    Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
    seen, enough = Peak(), threading.Event()
    watcher = threading.Thread(target=_watch_children, args=(seen, enough), daemon=True)
    watcher.start()
    yield seen
    enough.set()
    watcher.join()
    seen.own_bytes = _status("VmHWM")


def _watch_children(seen: Peak, enough: threading.Event) -> None:
    while not enough.wait(_LOOK_S):
        seen.children_bytes = max(seen.children_bytes, sum(_private_bytes(child) for child in _children()))


def _children() -> set[str]:
    return {child for task in Path("/proc/self/task").iterdir() for child in _read(task / "children").split()}


def _private_bytes(child: str) -> int:
    """Return what only the child holds: pages that we have written to since, of which it keeps the old contents.

    `Anonymous` counts every page, `Pss_Anon` half of those that are still shared by the two of us.
    """
    rows = (line.split() for line in _read(Path("/proc", child, "smaps_rollup")).splitlines())
    sizes = {row[0]: 1024 * int(row[1]) for row in rows if row[0] in ("Anonymous:", "Pss_Anon:")}
    return max(0, 2 * sizes.get("Pss_Anon:", 0) - sizes.get("Anonymous:", 0))


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has ended
        return ""
