"""How hard a run may work on its checkpoints: threads, priority, rate, ways of writing. Data, parsed at the edge."""

from __future__ import annotations

import os
from dataclasses import dataclass

from outlast.errors import UsageError
from outlast.format.codecs import has_zstd
from outlast.units import parse_size, whole

ALWAYS = "always"
_MOST_THREADS = 64
_MOST_NICE = 19


@dataclass(frozen=True, slots=True, kw_only=True)
class IO:
    """What saving and restoring may take from the machine.

    Args:
        threads: how many write and read at the same time; 0 chooses: 4, or fewer where this process may use few cores.
        nice: the priority of the threads that write beside the loop, 0 (as the loop itself) to 19 (only what is idle).
        rate: at most so many bytes a second are written: "200MB", a number; None: as many as the storage takes.
        direct: write and read past the kernel's cache where the storage lets us. False: always through it.
        reuse: overwrite the blocks of a pruned part instead of asking for new ones: twice as fast on most disks. One
            more checkpoint's space stays in use. Not where a part has other links, or somebody reads it.
        compress: store leaves compressed (zstd, lossless). True: where it is measured to make a save no slower;
            "always": wherever it makes a leaf smaller by a tenth. Needs the extra `zstd`.
        memory: the most memory for the snapshot, "8GiB", if machine and cgroup have it left; None: no more
            than that. A state that does not fit is saved while the loop waits.

    Raises:
        UsageError: a value is none of these.
    """

    threads: int = 0
    nice: int = 10
    rate: str | int | None = None
    direct: bool = True
    reuse: bool = False
    compress: bool | str = False
    memory: str | int | None = None

    def __post_init__(self) -> None:
        if not 0 <= whole("threads", self.threads) <= _MOST_THREADS:
            raise UsageError(f"threads={self.threads}: expected 0 to {_MOST_THREADS}")
        if not 0 <= whole("nice", self.nice) <= _MOST_NICE:
            raise UsageError(f"nice={self.nice}: expected 0 to {_MOST_NICE}")
        if self.rate_bytes_s == 0:
            raise UsageError("rate=0 would never end", hint='write it like "200MB" (a second), or None for no limit')
        if self.memory is not None:
            parse_size(self.memory)
        if self.compress not in (False, True, ALWAYS):
            raise UsageError(f"compress={self.compress!r}: expected False, True or {ALWAYS!r}")
        if self.compress and not has_zstd():
            raise UsageError(
                f"compress={self.compress!r} needs the package zstandard", hint="pip install 'outlast[zstd]'"
            )

    @property
    def rate_bytes_s(self) -> int | None:
        """Return the limit of the rate in bytes a second; None if there is none."""
        return None if self.rate is None else parse_size(self.rate)

    @property
    def memory_bytes(self) -> int | None:
        """Return the limit of the snapshot's memory; None if it is to be found out."""
        return None if self.memory is None else parse_size(self.memory)

    @property
    def workers(self) -> int:
        """Return how many threads to start."""
        return self.threads or min(4, 2 * len(os.sched_getaffinity(0)))


DEFAULT = IO()
