"""Programs under an engine, supervised; what is waited for is a line on standard error, or an end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
SOURCE = str(HERE.parents[1] / "src")
BOUND_S = 120
STEPS = 3000


class Started:
    """`outlast run --engine ...`, running."""

    def __init__(self, folder: Path, command: Sequence[str], *options: str, engine: str = "criu", **env: str) -> None:
        words = ["--engine", engine, "--store", str(folder / "store"), "--every", "300ms", "--tries", "1", *options]
        self._said: list[str] = []
        self._news = threading.Condition()
        self._out = open(folder / "said", "a")  # noqa: SIM115  (closed at its end)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "outlast", "run", *words, "--", *command],
            env={**os.environ, "PYTHONPATH": SOURCE, **env},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        with self.process.stderr as stream:
            for line in stream:
                with self._news:
                    self._said.append(line)
                    self._news.notify_all()

    @property
    def said(self) -> str:
        return "".join(self._said)

    def await_line(self, text: str, count: int = 1) -> None:
        with self._news:
            assert self._news.wait_for(lambda: self.said.count(text) >= count, BOUND_S), self.said

    def kill(self) -> None:
        """Kill the supervisor: with it goes all that it started."""
        self.process.send_signal(signal.SIGKILL)
        self.end()

    def end(self) -> int:
        self.process.wait(BOUND_S)
        self._reader.join(BOUND_S)
        self._out.close()
        return self.process.returncode

    def notice(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.end()


def undisturbed(folder: Path, command: Sequence[str]) -> tuple[str, str]:
    """What the program leaves without us: its file, and what it says."""
    fast = folder / "fast"
    fast.touch()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    fast.unlink()
    out = folder / "out"
    text = out.read_text()
    out.unlink()
    return text, done.stdout
