"""What a test cluster stands on: its folder, its ordinary user, and the scripts that make machines of namespaces."""

from __future__ import annotations

import grp
import os
import pwd
import secrets
import shlex
from dataclasses import dataclass
from pathlib import Path

from slurm.machine import closed, interpreter, showing
from slurm.settings import FRONT_ADDRESS, Settings

USER = "outlaster"
_FIRST_ID, _LAST_ID = 61_000, 64_999  # of the user: above those that systems give out


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """The ground of one cluster.

    Attributes:
        folder: what all machines share.
        settings: of Slurm.
        user: the numbers of the user whose jobs run there, and of its group.
        sources: a folder that jobs read, besides this Python.
    """

    folder: Path
    settings: Settings
    user: tuple[int, int]
    sources: Path

    def lay_out(self) -> None:
        """Make the folder, before any machine sees it."""
        self.folder.chmod(0o755)
        for name in ("etc", "log", "munge", "run", "state", "home"):
            (self.folder / name).mkdir()
        number, group = self.user
        os.chown(self.folder / "home", number, group)
        files = {
            "slurm.conf": self.settings.conf(self.folder),
            "hosts": self.settings.hosts(),
            "passwd": f"{_text('/etc/passwd')}{USER}:x:{number}:{group}::{self.folder}/home:/bin/bash\n",
            "group": f"{_text('/etc/group')}{USER}:x:{group}:\n",
        }
        for name, text in files.items():
            (self.folder / "etc" / name).write_text(text)
        key = self.folder / "etc" / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)

    def front_script(self) -> str:
        """What makes the front machine: the files that all machines see, the network, munge, slurmctld."""
        etc, munge = shlex.quote(str(self.folder / "etc")), shlex.quote(str(self.folder / "munge"))
        return f"""
mount -t proc proc /proc
{self._shows()}
mount --bind {etc} /etc/slurm
mount --bind {munge} /etc/munge
for file in hosts passwd group; do mount --bind {etc}/$file /etc/$file; done
ip link set lo up
ip link add nodes type bridge
ip address add {FRONT_ADDRESS}/24 dev nodes
ip link set nodes up
cd /etc/munge
munged --key-file={etc}/munge.key --socket=$PWD/socket --pid-file=$PWD/pid --log-file=$PWD/log --seed-file=$PWD/seed
cd /
slurmctld -i
"""

    def node_script(self, node: str) -> str:
        """What makes a node: its cable to the front machine, and what no node shares: /tmp, its memory, its boot."""
        boot = shlex.quote(str(self.folder / "run" / f"boot-{node}"))
        return f"""
ip link add eth0 type veth peer name to-{node} netns /proc/1/ns/net
nsenter --net=/proc/1/ns/net ip link set to-{node} master nodes up
ip link set lo up
ip address add {self.settings.address(node)}/24 dev eth0
ip link set eth0 up
mount -t proc proc /proc
{self._shows()}
cat /proc/sys/kernel/random/uuid > {boot}
mount --bind {boot} /proc/sys/kernel/random/boot_id
"""

    def _shows(self) -> str:
        """Lines that give a machine a /tmp and a /dev/shm of its own, and its users the way to what they need."""
        needed = {*interpreter(), self.sources, self.folder}
        barred = [(folder, "755") for folder in sorted(closed(needed)) if not folder.startswith("/tmp/")]
        return showing(needed, instead_of=[("/tmp", "1777"), ("/dev/shm", "1777"), *barred])


def free_user() -> tuple[int, int]:
    """A number that neither a user nor a group has here, for both."""
    taken = {entry.pw_uid for entry in pwd.getpwall()} | {entry.gr_gid for entry in grp.getgrall()}
    number = next(number for number in range(_FIRST_ID, _LAST_ID) if number not in taken)
    return number, number


def _text(path: str) -> str:
    """A file's text, with an end of line at its end."""
    text = Path(path).read_text()
    return text if text.endswith("\n") or not text else text + "\n"
