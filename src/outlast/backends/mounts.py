"""What kind of storage a path lies on, from the kernel's mount table. Reads only."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

_VOLATILE = {
    "tmpfs": "memory",
    "ramfs": "memory",
    "rootfs": "memory",
    "overlay": "a container's own layer",
    "fuse.fuse-overlayfs": "a container's own layer",
}
_LOCAL = {"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "vfat", "exfat", "ntfs3"}
# The schedulers' job ids; a job on a node may be continued on another one.
JOB_VARIABLES = (
    "SLURM_JOB_ID",
    "PBS_JOBID",
    "LSB_JOBID",
    "FLUX_JOB_ID",
    "_CONDOR_JOB_AD",
    "JOB_ID",
)
_POINT = 4  # proc(5) counts from 1
_OPTIONS = 5
_OPTIONAL = 6  # from here on optional fields, closed by a dash
_ESCAPE = re.compile(rb"\\([0-3][0-7]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A mounted file system: where, of which type, from what.

    Args:
        options: those of the mount (ro, noatime), then those of the file system (vers=4.2, soft), each once.
    """

    point: str
    type: str
    source: str
    options: tuple[str, ...] = ()

    def option(self, name: str) -> str | None:
        """Return the value of an option, '' if it has none; None if it is not set. The last one wins."""
        for option in reversed(self.options):
            key, _, value = option.partition("=")
            if key == name:
                return value
        return None


def find(path: str, table: str = "/proc/self/mountinfo") -> Mount | None:
    """Return the mount that `path`, or its nearest existing parent, lies on; None if the table is unreadable."""
    real = os.path.realpath(path)
    best: Mount | None = None
    try:
        with open(table, "rb") as lines:
            for line in lines:
                mount = _parse(line)
                if mount and _inside(real, mount.point) and (best is None or len(mount.point) >= len(best.point)):
                    best = mount
    except OSError:
        return None
    return best


def warning(mount: Mount | None, path: str, *, in_job: bool) -> str:
    """Say why storage on this mount does not outlive the node, or '' if it does as far as can be seen.

    Args:
        mount: from `find`.
        path: the store, for the message.
        in_job: whether this process runs in a batch job, which may go on at another node.
    """
    if mount is None:
        return ""
    if mount.type in _VOLATILE:
        kept = _VOLATILE[mount.type]
        return f"{path} is on {mount.type} ({kept}): it does not outlive this node. Use a shared file system."
    if mount.type in _LOCAL:
        message = f"{path} is on {mount.type} at {mount.point}, a disk of this node"
        if in_job:
            return f"{message}: the next job may run on another node and would not find it. Use a shared file system."
        return f"{message}: it does not outlive the node's disk."
    return ""


def in_batch_job() -> bool:
    """Say whether a scheduler started this process."""
    return any(name in os.environ for name in JOB_VARIABLES)


def _parse(line: bytes) -> Mount | None:
    fields = line.rstrip(b"\n").split(b" ")  # each blank counts: a source may be empty
    try:
        dash = fields.index(b"-", _OPTIONAL)
        point, kind, source = fields[_POINT], fields[dash + 1], fields[dash + 2]
    except (ValueError, IndexError):
        return None
    options = dict.fromkeys(_plain(b",".join([fields[_OPTIONS], *fields[dash + 3 : dash + 4]])).split(","))
    return Mount(point=_plain(point), type=_plain(kind), source=_plain(source), options=tuple(options))


def _plain(field: bytes) -> str:
    """Undo the kernel's escapes (a backslash and 040 is a blank), each a byte of its own."""
    return os.fsdecode(_ESCAPE.sub(lambda found: bytes([int(found[1], 8)]), field))


def _inside(path: str, point: str) -> bool:
    return point in ("/", path) or path.startswith(point.rstrip("/") + "/")
