"""What can be promised on a kind of storage, in plain words, from its mount and from what a probe found. Pure.

What is said of a kind of file system is what its manuals say or what was measured on it; of the others the answer is
that nobody knows, never that it will do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from outlast.backends.base import Quota
from outlast.backends.mounts import Mount
from outlast.backends.probe import Probe
from outlast.backends.rally import Met
from outlast.units import format_duration, format_size

Holds = Literal["yes", "no", "unknown"]
Reach = Literal["memory", "container", "node", "shared", "unknown"]

_MINUTE_S = 60
_NFS_DIRECTORIES_S = 60  # nfs(5): acdirmax, where nothing is set
_NEARLY_FULL = 0.95
_MEASURE = "to measure it: outlast doctor STORE --other-node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of file system.

    Args:
        words: what it is.
        reach: who else sees it, and whether it outlives the node.
        durable: what a sync means here, beyond its answer.
        seen: when a job on another node sees a commit.
        exclusive: whether jobs on several nodes exclude one another.
    """

    words: str
    reach: Reach
    durable: tuple[Holds, str]
    seen: tuple[Holds, str]
    exclusive: tuple[Holds, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """One promise: `key` is stable, `asks` names it for people, `said` gives the reason or the bound."""

    key: str
    asks: str
    holds: Holds
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What can be promised.

    Args:
        fit: nothing that outlast relies on failed.
        warnings: what somebody should do something about.
        notes: what is good to know.
    """

    kind: Kind
    fit: bool
    promises: tuple[Promise, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


_HERE = ("no", "only this node has it")
_ALONE: tuple[Holds, str] = ("yes", "on this node, which alone has it: by links and numbered claims")
_LINKS: tuple[Holds, str] = ("yes", "by links and numbered claims, not by locks")
_COHERENT: tuple[Holds, str] = ("yes", "at once: its nodes agree on what is there")
_ASK: tuple[Holds, str] = ("unknown", _MEASURE)


def _memory() -> Kind:
    lost: tuple[Holds, str] = ("no", "it is memory: gone when the node stops, maybe when the job ends")
    return Kind(words="memory of this node", reach="memory", durable=lost, seen=("no", _HERE[1]), exclusive=_ALONE)


def _disk(words: str) -> Kind:
    kept: tuple[Holds, str] = ("yes", "as far as the disk honours what it is told to sync")
    return Kind(words=words, reach="node", durable=kept, seen=("no", _HERE[1]), exclusive=_ALONE)


def _container() -> Kind:
    kept: tuple[Holds, str] = ("unknown", "as the disk beneath; the layer goes with the container in any case")
    seen: tuple[Holds, str] = ("no", "only this container has it")
    return Kind(words="a container's own layer", reach="container", durable=kept, seen=seen, exclusive=_ALONE)


def _shared(
    words: str, durable: str, seen: tuple[Holds, str] = _COHERENT, exclusive: tuple[Holds, str] = _LINKS
) -> Kind:
    return Kind(words=words, reach="shared", durable=("yes", durable), seen=seen, exclusive=exclusive)


def _foreign(words: str, reach: Reach = "unknown") -> Kind:
    return Kind(words=words, reach=reach, durable=("unknown", "nobody has looked"), seen=_ASK, exclusive=_ASK)


_SERVERS = "as far as its servers honour what they are told to sync"
_NFS = (
    "as far as its server honours sync; an export with the option async (not visible from here) does not: ask for sync"
)
_BEEGFS: tuple[Holds, str] = ("unknown", f"it depends on the client's cache mode (tuneFileCacheType); {_MEASURE}")

KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(("tmpfs", "ramfs", "rootfs", "devtmpfs"), _memory()),
    **dict.fromkeys(("overlay", "aufs", "fuse.fuse-overlayfs"), _container()),
    **dict.fromkeys(("ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs"), _disk("a disk of this node")),
    **dict.fromkeys(("vfat", "exfat", "ntfs3"), _disk("a disk of this node, without links or owners")),
    **dict.fromkeys(("nfs", "nfs4"), _shared("NFS", _NFS, seen=_ASK)),
    "lustre": _shared("Lustre", _SERVERS),
    "gpfs": _shared("GPFS (Storage Scale)", _SERVERS),
    **dict.fromkeys(
        ("beegfs", "beegfs_nodev"),
        _shared("BeeGFS", f"{_SERVERS}, with tuneRemoteFSync as it is by default (on)", seen=_BEEGFS),
    ),
    **dict.fromkeys(("ceph", "fuse.ceph", "fuse.ceph-fuse"), _shared("CephFS", _SERVERS)),
    **dict.fromkeys(("cifs", "smb3", "smbfs"), _foreign("an SMB share", "shared")),
    **dict.fromkeys(("9p", "virtiofs"), _foreign("a directory of the host of this virtual machine")),
    "fuse.sshfs": _foreign("a directory of another machine by SSH", "shared"),
    **dict.fromkeys(("autofs", "fuseblk"), _foreign("a mount that does not say what it is")),
}


def kind_of(mount: Mount | None) -> Kind:
    """Return what is known of the kind of file system that a mount is."""
    if mount is None:
        return _foreign("storage that the mount table does not tell of")
    if mount.type in KINDS:
        return KINDS[mount.type]
    family = "a FUSE file system" if mount.type.startswith("fuse") else "a file system"
    return _foreign(f"{family} that outlast does not know ({mount.type})")


def judge(
    mount: Mount | None,
    probes: Sequence[Probe],
    *,
    quotas: Sequence[Quota] = (),
    place_warning: str = "",
    met: Met | None = None,
) -> Verdict:
    """Say what can be promised.

    Args:
        mount: where the store lies; None if that is unknown.
        probes: what trying it gave.
        quotas: what those who are charged for it may use, as far as known.
        place_warning: from `mounts.warning`, whether the next job would find it.
        met: what another node saw, if one was asked.
    """
    kind, found = kind_of(mount), {one.name: one for one in probes}
    options = _Options(mount)
    failed = [one for one in probes if one.outcome == "failed"]
    return Verdict(
        kind=kind,
        fit=not failed and (met is None or met.is_exclusive),
        promises=(
            _survives_kill(found),
            _survives_power_loss(kind, options, found),
            _survives_node(kind),
            _is_seen(kind, options, met),
            _excludes(kind, found, met),
            _is_private(found),
        ),
        warnings=(
            *([place_warning] if place_warning else ()),
            *options.warnings(),
            *_meeting_warnings(met),
            *(f"{one.name}: {one.said}" for one in probes if one.outcome == "warning"),
            *(w for quota in quotas for w in _quota_warnings(quota)),
        ),
        notes=tuple(options.notes()),
    )


def _problem(found: Mapping[str, Probe], *names: str) -> str:
    """Return what failed among these probes, or was not tried; '' if all are well."""
    for name in names:
        probe = found.get(name)
        if probe is None or probe.outcome in ("failed", "skipped"):
            return f"{name}: {probe.said if probe else 'not tried'}"
    return ""


def _promise(key: str, asks: str, holds: tuple[Holds, str], problem: str = "") -> Promise:
    return Promise(key=key, asks=asks, holds="no" if problem else holds[0], said=problem or holds[1])


def _survives_kill(found: Mapping[str, Probe]) -> Promise:
    problem = _problem(found, "write", "link", "rename", "commit", "append", "listing")
    return _promise("kill", "what was saved survives a kill of the job", ("yes", "at any instant"), problem)


def _survives_power_loss(kind: Kind, options: _Options, found: Mapping[str, Probe]) -> Promise:
    problem = _problem(found, "sync-file", "sync-directory", "commit", "read-back") or options.loses_power()
    return _promise("power-loss", "it survives a crash or loss of power of this node", kind.durable, problem)


def _survives_node(kind: Kind) -> Promise:
    holds: dict[Reach, tuple[Holds, str]] = {
        "shared": ("yes", "it lies on servers, not on this node"),
        "memory": ("no", "it is this node's memory"),
        "node": ("no", "it is this node's disk: when the node is away, so is the run"),
        "container": ("no", "it goes with the container"),
        "unknown": ("unknown", "whose disk it lies on cannot be seen from here"),
    }
    return _promise("node-loss", "it survives the loss of this node", holds[kind.reach])


def _is_seen(kind: Kind, options: _Options, met: Met | None) -> Promise:
    holds = options.seen() or kind.seen
    if met and not met.is_same_node:
        took = format_duration(met.slowest_s)
        holds = ("yes", f"measured: written here, seen on {met.other} and answered within {took}")
    return _promise("other-nodes", "a job on another node sees it", holds)


def _excludes(kind: Kind, found: Mapping[str, Probe], met: Met | None) -> Promise:
    problem = _problem(found, "exclusive", "link", "race")
    holds = kind.exclusive
    if met and not met.is_exclusive:
        problem = f"of the names that two nodes wanted, {met.twice} went to both and {met.nobodys} to neither"
    elif met and not met.is_same_node:
        holds = ("yes", f"measured: two nodes wanted the same names, {met.mine} came here, {met.theirs} went there")
    return _promise("two-jobs", "two jobs of one run exclude one another", holds, problem)


def _meeting_warnings(met: Met | None) -> list[str]:
    if met and met.is_same_node:
        return ["the answer came from this very node: start the other command on another one"]
    if met is None or met.slowest_s <= _MINUTE_S:
        return []
    return [f"the answer of {met.other} took {format_duration(met.slowest_s)}; outlast counts on a minute at most"]


def _is_private(found: Mapping[str, Probe]) -> Promise:
    probe = found.get("permissions")
    holds: tuple[Holds, str] = ("yes", "modes 600 and 700 are kept")
    if probe and probe.outcome == "warning":
        holds = ("no", probe.said)
    return _promise("private", "others cannot read it", holds, _problem(found, "permissions"))


def _quota_warnings(quota: Quota) -> list[str]:
    if quota.used_share < _NEARLY_FULL:
        return []
    return [f"quota: {describe(quota)}: a save that finds no room fails, and the last good checkpoint stays"]


def describe(quota: Quota) -> str:
    """Return a quota for people."""
    room = "no limit" if quota.limit_bytes is None else format_size(quota.limit_bytes)
    files = "no limit" if quota.limit_files is None else str(quota.limit_files)
    return f"{quota.whose}: {format_size(quota.used_bytes)} of {room}, {quota.used_files} files of {files}"


class _Options:
    """What the options of a mount change."""

    def __init__(self, mount: Mount | None) -> None:
        self._mount = mount
        self._type = mount.type if mount else ""

    def _has(self, name: str) -> bool:
        return self._mount is not None and self._mount.option(name) is not None

    def _is(self, name: str, value: str) -> bool:
        return self._mount is not None and self._mount.option(name) == value

    @property
    def _is_nfs(self) -> bool:
        return self._type in ("nfs", "nfs4")

    def _directories_s(self) -> int:
        """Return for how long an NFS client may believe an old listing."""
        if self._mount is None or self._has("noac"):
            return 0
        for name in ("acdirmax", "actimeo"):
            value = self._mount.option(name) or ""
            if value.isascii() and value.isdecimal():
                return int(value)
        return _NFS_DIRECTORIES_S

    def seen(self) -> tuple[Holds, str] | None:
        if not self._is_nfs:
            return None
        age_s = self._directories_s()
        if age_s == 0:
            return "yes", "at once: this client keeps no attributes"
        return "yes", f"within {age_s} s, for as long as this client may keep a directory's attributes (acdirmax)"

    def loses_power(self) -> str:
        """Return the option by which a sync does not reach the disk, with what to do."""
        if self._has("nobarrier") or self._is("barrier", "0"):
            return "the mount's option nobarrier lets a sync end in the disk's own memory: mount without it"
        if self._type == "zfs" and self._is("sync", "disabled"):
            return "sync=disabled: a sync does nothing"
        return ""

    def warnings(self) -> list[str]:
        said = []
        if self._is_nfs and (self._has("soft") or self._has("softerr")):
            said.append("mounted soft: a server that is slow to answer makes saves fail, and reads too; mount it hard")
        if self._is_nfs and self._directories_s() > _MINUTE_S:
            said.append(
                f"directories may look {self._directories_s()} s old, and outlast counts on a minute at most: "
                "mount with acdirmax=60 or less"
            )
        if self._has("nobarrier") or self._is("barrier", "0"):
            said.append(self.loses_power())
        return said

    def notes(self) -> list[str]:
        locks = [name for name in ("noflock", "localflock", "nolock", "local_lock") if self._has(name)]
        locks = [name for name in locks if not self._is(name, "none")]
        if self._type == "lustre" and not self._has("flock") and not locks:
            locks = ["no flock"]
        if not locks:
            return []
        return [f"file locks do not work between nodes here ({', '.join(locks)}): outlast takes none; your program may"]
