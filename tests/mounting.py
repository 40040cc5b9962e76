"""Small file systems of a test's own, in a mount namespace of a forked child: full disks, read-only mounts, images.

Works as root and, where user namespaces are allowed, as an ordinary user; images need root and a loop device.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

_NEWNS, _NEWUSER = 0x00020000, 0x10000000
_MS_RDONLY, _MS_REMOUNT, _MS_REC, _MS_PRIVATE = 1, 32, 16384, 1 << 18
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise RuntimeError(
            f"{what}: {os.strerror(error)}. This test mounts a small file system: run it as root, or allow user "
            "namespaces (sysctl kernel.unprivileged_userns_clone=1)"
        )


def enter() -> None:
    """Give this (forked) process a mount namespace of its own."""
    uid, gid = os.getuid(), os.getgid()
    _check(_libc.unshare(_NEWNS if uid == 0 else _NEWNS | _NEWUSER), "unshare")
    if uid != 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    _check(_libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None), "making mounts private")


def tmpfs(path: Path, options: str) -> None:
    path.mkdir(exist_ok=True)
    _check(_libc.mount(b"tmpfs", os.fsencode(path), b"tmpfs", 0, options.encode()), "mounting tmpfs")


def remount(path: Path, options: str, *, read_only: bool = False) -> None:
    flags = _MS_REMOUNT | (_MS_RDONLY if read_only else 0)
    _check(_libc.mount(b"tmpfs", os.fsencode(path), b"tmpfs", flags, options.encode()), "remounting")


def image_problem() -> str:
    """Say why images cannot be mounted here, or nothing."""
    if os.geteuid() != 0:
        return "root, to mount images"
    if not os.access("/dev/loop-control", os.W_OK):
        return "loop devices (/dev/loop-control), to mount images"
    return ""


def image(path: Path, file: Path) -> None:
    """Mount an image. Its loop device is released with the mount: at the latest when this process ends."""
    path.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-o", "loop", str(file), str(path)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"mounting {file}: {done.stderr}")


def unmount(path: Path) -> None:
    _check(_libc.umount2(os.fsencode(path), 0), f"unmounting {path}")
