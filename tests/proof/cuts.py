"""Power cuts on real ext4 and XFS: at a storage call the file system is shut down with all that it had not written.

The shutdown ioctl drops what is in memory, the journal's too, as a power cut does; mounting again recovers. What these
file systems make durable unasked they keep, so `replay` is stricter; but here nothing is a model.
"""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import mounting
import storekit
from outlast.testing import CountedCalls
from proof.core import Harness
from proof.judge import judge
from proof.scenarios import SCENARIOS, Report, calls_of, prepared

_SHUTDOWN, _NO_LOG_FLUSH = 0x8004587D, 2  # XFS_IOC_GOINGDOWN, which is ext4's too
_SIZES = {"ext4": 16 << 20, "xfs": 300 << 20}  # the smallest that mkfs.xfs makes
_CHANGES = {
    *("create", "write", "pwrite", "allocate", "truncate", "fsync"),
    *("link", "unlink", "rename", "mkdir", "rmdir"),
}


def cases() -> Iterator[str]:
    for kind in _SIZES:
        for name in SCENARIOS:
            changes = [at for at, call in enumerate(calls_of(name), 1) if call in _CHANGES]
            yield from (f"{kind}:{name}:{at}" for at in changes)
            if changes:
                yield f"{kind}:{name}:end"


def run(case: str, folder: Path) -> None:
    kind, name, at = case.split(":")
    image = folder / "image"
    with image.open("wb") as file:
        file.truncate(_SIZES[kind])
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    subprocess.run([f"mkfs.{kind}", "-q", str(image)], check=True, env={"PATH": path}, capture_output=True)
    # All mounts are of a child's own namespace: whatever happens in it, they go with it, and so do the loop devices.
    status, told = storekit.in_child(lambda _: _cut_and_judge(folder, name, at))
    assert status == 0, told.decode()


def _cut_and_judge(folder: Path, name: str, at: str) -> None:
    mounting.enter()
    disk = folder / "disk"
    mounting.image(disk, folder / "image")
    path = prepared(name, disk)
    mounting.unmount(disk)  # all of the seed is durable now
    mounting.image(disk, folder / "image")
    status, told = storekit.in_child(lambda report: _act(disk, path, name, at, report))
    assert os.WIFSIGNALED(status), f"not cut: {told!r}"
    mounting.unmount(disk)
    mounting.image(disk, folder / "image")
    _age(path)
    judge(path, told, SCENARIOS[name], lines_lost=True)
    mounting.unmount(disk)


def _age(path: Path) -> None:
    """Let an hour pass. For minutes after a cut nothing is pruned if the line that told of pruning was lost by it.

    `replay` looks at that too.
    """
    for journal in path.glob("journal/*.jsonl"):
        then = journal.stat().st_mtime - 3600
        os.utime(journal, (then, then))


def _act(disk: Path, path: Path, name: str, at: str, report: Report) -> None:
    """Run the act until the power goes, before the call `at` or after the last."""
    power = os.open(disk, os.O_RDONLY)
    calls = CountedCalls()

    def look(_: str) -> None:
        if str(len(calls.log)) == at:
            _cut(power)

    calls.hook = look
    SCENARIOS[name].act(path, calls, report)
    _cut(power)


def _cut(power: int) -> None:
    fcntl.ioctl(power, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
    os.kill(os.getpid(), signal.SIGKILL)


HARNESS = Harness(cases=cases, run=run, sample=30, tools=("mkfs.ext4", "mkfs.xfs"), needs=mounting.image_problem)
