"""Machines of a test cluster, made of namespaces: processes, mounts, network and name of their own.

A machine is as good as its process 1: when that ends, the kernel ends everything that ran there, in its machines too,
and takes the mounts and the network away. Nothing can stay behind, however the tests end.
"""

from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

WAIT_S = 60.0
_OWN = ("--mount", "--net", "--uts", "--ipc", "--pid")


class Machine:
    """A machine that runs.

    Args:
        name: its host name.
        script: what its process 1 does, in bash, until it says `ready` on its standard output.
        log: a file for what the script says otherwise.
        work: and after that: it is alive until this ends. By default until the tests end, whatever ends them.
        inside: the machine that it is a part of.

    Raises:
        RuntimeError: the script failed; with what it said.
    """

    def __init__(
        self, name: str, script: str, *, log: Path, work: str = "read -r _ || true", inside: Machine | None = None
    ) -> None:
        self.name = name
        whole = f"hostname {name}\n{script}\necho ready\n{work}"
        argv = ["unshare", *_OWN, "--fork", "--kill-child", "bash", "-euc", whole]
        with log.open("ab") as said:
            self._process = subprocess.Popen(
                [*(inside.enter() if inside else ()), *argv],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                start_new_session=True,  # an interrupt from the keyboard is the tests' own
                cwd="/",
                env={"PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin", "LANG": "C.UTF-8"},
            )
        if not self._is_ready():
            self._process.kill()
            self._process.wait(WAIT_S)
            raise RuntimeError(f"machine {name} did not start:\n{log.read_text(errors='replace')}")
        self.pid = _first(self._process.pid, _depth(inside.pid if inside else os.getpid()) + 1)
        self._descriptor = os.pidfd_open(self.pid)

    def enter(self, *, user: tuple[int, int] | None = None) -> list[str]:
        """The command line before a command that is to run on this machine."""
        argv = ["nsenter", "--target", str(self.pid), *_OWN]
        if user:
            argv += ["--setuid", str(user[0]), "--setgid", str(user[1])]
        return [*argv, "--"]

    def run(
        self,
        argv: Sequence[str],
        *,
        user: tuple[int, int] | None = None,
        env: Mapping[str, str] | None = None,
        folder: Path | str = "/",
        text: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Run a command there, with `text` on its standard input, and wait for its end."""
        return subprocess.run(
            [*self.enter(user=user), "env", "--chdir", str(folder), *argv],
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            env=env,
            timeout=WAIT_S,
            check=False,
        )

    def power_off(self) -> None:
        """End everything at once. Returns when nothing of it is left."""
        if self._descriptor < 0:
            return
        with suppress(ProcessLookupError):  # it went with the machine that it was a part of
            signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)
        poller = select.poll()
        poller.register(self._descriptor, select.POLLIN)
        is_gone = bool(poller.poll(WAIT_S * 1000))
        os.close(self._descriptor)
        self._descriptor = -1
        for pipe in (self._process.stdin, self._process.stdout):
            pipe.close()
        self._process.wait(WAIT_S)
        assert is_gone, f"machine {self.name} does not go"

    def _is_ready(self) -> bool:
        readable, _, _ = select.select([self._process.stdout], [], [], WAIT_S)
        return bool(readable) and self._process.stdout.readline() == b"ready\n"


def showing(needed: Iterable[Path], *, instead_of: Iterable[tuple[str, str]]) -> str:
    """Lines of script that put a new, empty folder in the place of others, but for what is needed below them.

    Args:
        needed: what stays where it is.
        instead_of: the folders, each with the mode of the new one.
    """
    lines = []
    places = sorted(set(needed))
    for folder, mode in instead_of:
        inner = [place for place in places if place.is_relative_to(folder)]
        lines += [f"exec {number}<{shlex.quote(str(place))}" for number, place in enumerate(inner, 20)]
        lines.append(f"mount -t tmpfs -o mode={mode} tmpfs {shlex.quote(folder)}")
        for number, place in enumerate(inner, 20):
            lines.append(f"(umask 022; mkdir -p {shlex.quote(str(place))})")
            lines.append(f"mount -c --rbind /proc/self/fd/{number} {shlex.quote(str(place))}")
            lines.append(f"exec {number}<&-")
    return "\n".join(lines)


def closed(needed: Iterable[Path]) -> set[str]:
    """The folders on the way to what is needed that another user cannot pass.

    Raises:
        RuntimeError: it is closed itself.
    """
    found = set()
    for place in needed:
        if not place.stat().st_mode & 0o005 == 0o005:
            raise RuntimeError(f"jobs run as an ordinary user, who cannot read {place}: chmod -R o+rX {place}")
        barred = [folder for folder in place.parents if not folder.stat().st_mode & 0o001]
        found.update(map(str, barred[-1:]))
    return found


def interpreter() -> set[Path]:
    """The folders that this Python needs to run."""
    return {Path(os.path.realpath(folder)) for folder in (sys.prefix, sys.base_prefix)}


def _depth(pid: int) -> int:
    return len(_numbers(pid))


def _numbers(pid: int) -> list[str]:
    """The numbers of a process in the namespaces that it is in, from ours inwards."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]


def _first(pid: int, depth: int) -> int:
    """Process 1 of a machine, as seen from here: `pid` is who started it."""
    for child in psutil.Process(pid).children(recursive=True):
        numbers = _numbers(child.pid)
        if len(numbers) == depth and numbers[-1] == "1":
            return child.pid
    raise RuntimeError(f"process {pid} has started no machine")
