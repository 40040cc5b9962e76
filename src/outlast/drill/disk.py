"""A disk of its own for a run, small enough to be filled: a tmpfs that nobody else sees.

It lies in a mount namespace, which a process holds as long as the run goes on (`python -m outlast.drill.disk FOLDER
BYTES`); supervisors enter it. Root needs no more for that; others need a user namespace, where the kernel lets them.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import tempfile
from contextlib import suppress
from functools import cache
from subprocess import PIPE, Popen

from outlast.errors import OutlastError
from outlast.supervise import end_tree, start

_NEW_MOUNTS, _NEW_USER = 0x00020000, 0x10000000
_PRIVATE = 0x4000 | 0x40000  # MS_REC | MS_PRIVATE
_NO_DEVICES = 0x2 | 0x4  # MS_NOSUID | MS_NODEV
_READY = b"ready\n"
_BALLAST = ".outlast-drill-ballast"
_PROBE_BYTES = 1 << 20
_BLOCK = bytes(1 << 16)


class DiskError(OutlastError):
    """No such disk can be made here."""


class Disk:
    """A disk that is held by a process.

    Args:
        folder: where it is mounted, for those who enter.
        size_bytes: its size.

    Attributes:
        pid: who holds it.

    Raises:
        DiskError: the kernel does not let us.
    """

    def __init__(self, folder: str, size_bytes: int) -> None:
        self._folder = folder
        command = [sys.executable, "-P", "-m", "outlast.drill.disk", folder, str(size_bytes)]
        self._process: Popen[bytes] = start(command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        self.pid = self._process.pid
        assert self._process.stdout
        if self._process.stdout.readline() != _READY:
            said = self._process.communicate()[1].decode(errors="replace").strip().splitlines()
            raise DiskError(said[-1] if said else "it ended at once")

    @property
    def inside(self) -> str:
        """Return its folder, as seen from here."""
        return f"/proc/{self.pid}/root{self._folder}"

    def fill(self) -> None:
        """Leave no byte free."""
        with open(os.path.join(self.inside, _BALLAST), "wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(_BLOCK)

    def free(self) -> None:
        """Give the space back."""
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(self.inside, _BALLAST))

    def close(self) -> None:
        """Bring what is on it to the folder itself, and end it."""
        try:
            self.free()
            shutil.copytree(self.inside, self._folder, symlinks=True, dirs_exist_ok=True, ignore=_special)
        finally:
            end_tree(self.pid, term_s=0)
            self._process.communicate()


def _special(folder: str, names: list[str]) -> set[str]:
    """Return what cannot be copied: sockets, pipes."""
    paths = {name: os.path.join(folder, name) for name in names}
    return {name for name, at in paths.items() if not (os.path.islink(at) or os.path.isdir(at) or os.path.isfile(at))}


@cache
def why_not() -> str:
    """Return why no such disk can be made here; empty if it can."""
    folder = tempfile.mkdtemp(prefix="outlast-drill-")
    try:
        Disk(folder, _PROBE_BYTES).close()
    except DiskError as e:
        return str(e.args[0])
    finally:
        os.rmdir(folder)
    return ""


def enter(pid: int) -> None:
    """Enter the namespaces of a disk's holder. Call it before there are threads."""
    libc = ctypes.CDLL(None, use_errno=True)
    here = os.getcwd()
    for kind in ("user", "mnt"):
        path = f"/proc/{pid}/ns/{kind}"
        if os.readlink(path) != os.readlink(f"/proc/self/ns/{kind}"):
            with open(path, "rb") as file:
                _check(libc.setns(file.fileno(), 0), f"setns {kind}")
    os.chdir(here)  # the same name, on the disk


def _hold(folder: str, size_bytes: int) -> None:
    """Make the disk, with what is in the folder on it, and hold it until nobody wants it any more."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(_NEW_MOUNTS) != 0:
        _check(libc.unshare(_NEW_MOUNTS | _NEW_USER), "unshare")
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    _check(libc.mount(b"none", b"/", None, _PRIVATE, None), "mount --make-rprivate /")
    outside = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    options = f"size={size_bytes},mode=0700".encode()
    _check(libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", _NO_DEVICES, options), "mount tmpfs")
    shutil.copytree(f"/proc/self/fd/{outside}", folder, symlinks=True, dirs_exist_ok=True)
    os.write(1, _READY)
    sys.stdin.read()


def _check(result: int, what: str) -> None:
    if result != 0:
        raise SystemExit(f"{what}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    _hold(sys.argv[1], int(sys.argv[2]))
