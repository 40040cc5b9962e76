"""The seam that tests strike at is the whole of it: strace sees the same calls on the store, in the same order.

`outlast.backends.Syscalls` counts what it is asked; were there another way to the disk, the harnesses would be blind.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from outlast.testing import CountedCalls
from proof.scenarios import SCENARIOS, Report, prepared
from proof.tracing import Call, traced

KINDS = {
    "close": "close",
    "fallocate": "allocate",
    "fchmod": "chmod",
    "flock": "lock",
    "fsync": "fsync",
    "ftruncate": "truncate",
    "linkat": "link",
    "mkdir": "mkdir",
    "mkdirat": "mkdir",
    "preadv": "read",
    "preadv2": "read",
    "pwrite64": "pwrite",
    "rename": "rename",
    "renameat": "rename",
    "utimensat": "utime",
    "writev": "write",
}
LOOKS = ("newfstatat", "stat", "lstat", "access", "faccessat", "faccessat2", "readlink")


def _kind(call: Call) -> str:
    """What the seam calls a call of the kernel's; the kernel's own name where it has no word for it."""
    if call.name == "openat":
        return "create" if "O_CREAT" in call.text else "open"
    if call.name == "unlinkat":
        return "rmdir" if "AT_REMOVEDIR" in call.text else "unlink"
    if call.name in ("newfstatat", "fstat"):
        return "stat"
    return KINDS.get(call.name, call.name)


def _kinds(calls: list[Call], path: Path) -> Iterator[str]:
    """The calls that touch the store or its parent, in the seam's words.

    Python lists a directory through a second descriptor, with half a dozen calls: to the seam that is one. Looks at the
    store's own directory, by its path, are made before there is a store to open, and change nothing. After a sync
    `CountedCalls` itself asks for the size.
    """
    second = ""
    is_synced = False
    for call in calls:
        text = call.text.partition(">")[2] if call.text.startswith("AT_FDCWD") else call.text
        if str(path.parent) not in text and not any(f'"{p}"' in text or f"<{p}>" in text for p in path.parents):
            continue
        if is_synced and _kind(call) == "stat":
            is_synced = False
            continue
        is_synced = call.name == "fsync"
        if call.name == "fcntl" and "F_DUPFD" in call.text:
            second = re.search(r"= (\d+)<", call.text)[1]
            yield "list"
        elif second and call.text.startswith(f"{second}<"):
            second = "" if call.name == "close" else second
        elif call.name in LOOKS and not re.match(r"\d+<", call.text):
            assert re.search(r'"([^"]*)"', call.text)[1] in map(str, (path, *path.parents)), call.text
        else:
            yield _kind(call)


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "crowd"])  # its threads have no one order
def test_the_kernel_sees_what_the_seam_counts(name: str, tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("needs strace: make tools installs it, where you may")
    path = prepared(name, tmp_path)

    def act(report: Report) -> None:
        calls = CountedCalls()
        SCENARIOS[name].act(path, calls, lambda _: None)
        report(" ".join(calls.log).encode())

    seen = traced(act, tmp_path)
    assert seen.status == 0, seen.told
    assert list(_kinds(seen.calls, path)) == seen.told.decode().split()
