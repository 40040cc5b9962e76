"""As `space`, on a small ext4: blocks are given out late, directories need some, inodes are counted."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import mounting
from proof import space
from proof.core import Harness

_SCENARIOS = ("first-save", "later-save", "keep-1-whole", "same-step", "last-save", "quarantine")
_SIZE_BYTES, _INODES = 3 << 20, 128
_EVERY = 2  # pages: a mount each is dear


def missing() -> str | None:
    """Why this cannot be tested here; None if it can."""
    return None if os.geteuid() == 0 else "root, to mount ext4"


@functools.cache
def _image() -> bytes:
    """An empty file system, no block of it reserved for root."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    with tempfile.NamedTemporaryFile(prefix="outlast-") as file:
        file.truncate(_SIZE_BYTES)
        command = ["mkfs.ext4", "-q", "-m", "0", "-b", str(space.PAGE_BYTES), "-N", str(_INODES), "-O", "^has_journal"]
        subprocess.run([*command, file.name], env={**os.environ, "PATH": path}, check=True)
        return Path(file.name).read_bytes()


class Ext4:
    """A disk in an image, filled with ballast."""

    def __init__(self, path: Path) -> None:
        self.path, self._ballast = path, path / "ballast"
        image = path.with_suffix(".ext4")
        image.write_bytes(_image())
        mounting.image(path, image)

    def leave(self, *, pages: int | None = None, inodes: int | None = None) -> None:
        shutil.rmtree(self._ballast, ignore_errors=True)
        _sync(self.path)  # blocks are given out, and given back, late
        if pages is None and inodes is None:
            return
        self._ballast.mkdir()
        if inodes is not None:
            for number in range(max(0, os.statvfs(self.path).f_ffree - inodes - 1)):
                (self._ballast / f"{number}").touch()
        if pages is not None:
            self._fill(pages)

    def _fill(self, pages: int) -> None:
        """Take pages away, one at a time: the file system keeps some for itself, and says so late."""
        taken = 0
        with open(self._ballast / "blocks", "wb", buffering=0) as file, contextlib.suppress(OSError):
            while os.statvfs(self.path).f_bavail > pages:
                os.posix_fallocate(file.fileno(), taken * space.PAGE_BYTES, space.PAGE_BYTES)
                taken += 1
        assert os.statvfs(self.path).f_bavail <= pages


def _sync(path: Path) -> None:
    """Write one file system out, not all of the machine's."""
    fd = os.open(path, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(fd):
            raise OSError(ctypes.get_errno(), "syncfs")
    finally:
        os.close(fd)


def cases() -> Iterator[str]:
    for name in _SCENARIOS:
        pages, inodes, _ = space.needs_of(name)
        yield from (f"{name}:pages:{free}" for free in range(0, pages, _EVERY))
        yield from (f"{name}:inodes:{free}" for free in range(inodes))


def run(case: str, folder: Path) -> int:
    return space.run_on(Ext4, case, folder)


HARNESS = Harness(cases=cases, run=run, sample=24, tools=("mkfs.ext4", "mount"), needs=missing)
