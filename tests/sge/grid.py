"""A real Grid Engine of our own: one host, one queue, in namespaces that take everything with them when they end."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from outlast.supervise.batch.client import Answer

HOST = "grid"
BOUND_S = 120.0  # so long nothing takes; a test that waits for it has failed
_INIT = Path(__file__).with_name("init.sh")
_SPACES = ("--mount", "--net", "--uts", "--ipc", "--pid")
_SETTINGS = {
    "SGE_ROOT": "/var/lib/gridengine",
    "SGE_CELL": "default",
    "SGE_QMASTER_PORT": "6444",
    "SGE_EXECD_PORT": "6445",
}


def problem() -> str:
    """Say what is missing here, or nothing."""
    if os.geteuid() != 0:
        return "root, to make namespaces"
    missing = [name for name in ("sge_qmaster", "sge_execd", "qsub", "unshare", "nsenter", "ip") if not _where(name)]
    return f"{', '.join(missing)}: make tools installs them, where you may" if missing else ""


class Grid:
    """It runs from `start` to `stop`, or to the end of this process, however that comes.

    Args:
        folder: for its log, and settings on their way.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._log = folder, folder / "log"
        self._holder: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when it takes jobs. Its first process reads from a pipe that we hold: without us it ends."""
        with open(self._log, "wb") as log:
            self._holder = subprocess.Popen(
                ["unshare", *_SPACES, "--mount-proc", "--fork", "--kill-child", "sh", "-x", _INIT, HOST, self._folder],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        ready, _, _ = select.select([self._holder.stdout], [], [], BOUND_S)
        if not ready or self._holder.stdout.readline() != b"ready\n":
            self.stop()
            raise RuntimeError(f"Grid Engine did not start:\n{self._log.read_text()[-3000:]}")

    def stop(self) -> None:
        """End it, and every process in it."""
        if self._holder is not None:
            self._holder.stdin.close()
            self._holder.wait(BOUND_S)
            self._holder.stdout.close()
            self._holder = None

    def first(self) -> int:
        """Return the first process of its namespaces, as we see it."""
        holder = self._holder.pid
        return int(Path(f"/proc/{holder}/task/{holder}/children").read_text().split()[0])

    def space(self) -> str:
        """Name the namespace that all its processes are in."""
        return os.readlink(f"/proc/{self.first()}/ns/pid")

    def ask(self, command: Sequence[str], **env: str) -> Answer:
        """Run a command inside, as `Sge` asks: its times in UTC."""
        done = subprocess.run(
            ["nsenter", "-t", str(self.first()), "-m", "-n", "-u", "-i", "-p", f"--wd={os.getcwd()}", *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BOUND_S,
            check=False,
            env={**os.environ, **_SETTINGS, "TZ": "UTC", **env},
        )
        lines = done.stderr.strip().splitlines()
        return Answer(status=done.returncode, text=done.stdout, said=lines[0] if lines else "")

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for something to come true."""
        end = time.monotonic() + BOUND_S
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"{what} never came.\n{self.ask(['qstat', '-f']).text}\n{self._messages()}")
            time.sleep(0.05)

    def _messages(self) -> str:
        found = self.ask(
            ["sh", "-c", "tail -n 30 /var/spool/gridengine/execd/*/messages /var/spool/gridengine/*/messages"]
        )
        return found.text


def members(space: str) -> list[str]:
    """Return the processes in a namespace."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):  # it has ended, or is no process
            if os.readlink(entry / "ns" / "pid") == space:
                found.append(entry.name)
    return found


def _where(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
