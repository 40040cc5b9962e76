"""DMTCP: checkpoints of process trees by preloading, for ordinary users.

Written by its documented commands (dmtcp_launch(1), dmtcp_command(1), dmtcp_restart(1)); never run on the real ones,
which no Debian suite brings.
"""

from __future__ import annotations

import glob
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence

from outlast.supervise.engines.engine import Engine, EngineError, Session, Standing

_PROGRAMS = ("dmtcp_launch", "dmtcp_command", "dmtcp_restart")
_REMEDY = "ask for the module of DMTCP 3.2 or later on your cluster, or build it in your home; no root is needed"
_IMAGES = "ckpt_*.dmtcp"
_SIGNALLED = 128


class Dmtcp(Engine):
    """The engine `dmtcp`."""

    name = "dmtcp"

    def look(self) -> Standing:
        missing = [name for name in _PROGRAMS if shutil.which(name) is None]
        if missing:
            return Standing(problem=f"{', '.join(missing)} not found in PATH", remedy=_REMEDY)
        done = _run(["dmtcp_launch", "--version"])
        return Standing(version=(done.stdout.strip().splitlines() or ["unknown"])[0])

    def start(self, command: Sequence[str], *, streams: tuple[str, str], work: str) -> Session:
        return DmtcpSession("dmtcp_launch", command, work=work, streams=streams)

    def lengths(self, image: str) -> Mapping[str, int]:
        """Return nothing: DMTCP remembers itself how far each file was written."""
        _images(image)
        return {}

    def restore(self, image: str, *, work: str) -> Session:
        return DmtcpSession("dmtcp_restart", _images(image), work=work)


class DmtcpSession(Session):
    """A program under a coordinator of its own."""

    def __init__(
        self, launcher: str, words: Sequence[str], *, work: str, streams: tuple[str, str] | None = None
    ) -> None:
        self._port_file, self._folder = os.path.join(work, "port"), os.path.join(work, "images")
        os.makedirs(self._folder, exist_ok=True)
        options = ["--new-coordinator", "-p", "0", "--port-file", self._port_file, "--ckptdir", self._folder]
        options += ["--no-gzip"] if streams else []
        opened = [os.open(path, os.O_WRONLY | os.O_APPEND) for path in streams or ()]
        try:
            self._process = subprocess.Popen(  # noqa: S603  (the command is the user's)
                [launcher, *options, *words],
                stdin=subprocess.DEVNULL,
                stdout=opened[0] if opened else None,
                stderr=opened[1] if opened else None,
            )
        except OSError as e:
            raise EngineError(f"{launcher}: {e.strerror}", hint=_REMEDY) from e
        finally:
            for descriptor in opened:
                os.close(descriptor)

    def poll(self) -> int | None:
        code = self._process.poll()
        return code if code is None or code >= 0 else _SIGNALLED - code

    def dump(self, folder: str, *, goes_on: bool) -> None:
        for old in glob.glob(os.path.join(self._folder, "*")):
            os.unlink(old)
        self._order("--bcheckpoint" if goes_on else "--kcheckpoint")
        for image in _images(self._folder):
            shutil.move(image, folder)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def _order(self, what: str) -> None:
        try:
            with open(self._port_file, encoding="ascii") as file:
                port = file.read().strip()
        except OSError as e:
            raise EngineError(f"DMTCP's coordinator has not begun: {e.strerror}") from e
        done = _run(["dmtcp_command", "-p", port, what])
        if done.returncode != 0:
            raise EngineError(f"dmtcp_command {what}: {done.stdout.strip()[-500:] or done.returncode}")


def _images(folder: str) -> list[str]:
    found = sorted(glob.glob(os.path.join(glob.escape(folder), _IMAGES)))
    if not found:
        raise EngineError(f"there is no image {_IMAGES} in {folder}")
    return found


def _run(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  (an engine's program)
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        errors="replace",
    )
