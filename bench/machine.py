"""Where figures were taken: what matters for them, and nothing that names the machine or its folders."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from bench.limits import has_fio


def describe(folder: str) -> dict[str, str]:
    return {
        "system": f"{platform.system()} {platform.release().split('-')[0]}, {platform.machine()}",
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} usable",
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / (1 << 30):.0f} GiB",
        "storage": _file_system(os.path.realpath(folder)),
        "python": platform.python_version(),
        "limits by": "fio" if has_fio() else "a loop of Python's own, since fio is not installed",
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def _file_system(path: str) -> str:
    """Return the type of the file system that holds `path`: the mount with the longest matching place."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    held = [(len(where), kind) for _, where, kind, *_ in mounts if os.path.commonpath([path, where]) == where]
    return max(held)[1]
