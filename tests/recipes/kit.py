"""`outlast run --recipe ...` on a fake application; what is waited for is a line on standard error, or an end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
SOURCE = str(HERE.parents[1] / "src")
BOUND_S = 120
STEPS = 4000

_COMMON = """
title = "a fake"
detect = ["fakesim"]
lead = "1s"
clean = ["{name}.EXIT"]

[[variables]]
name = "name"
ending = ""
default = "sim"
"""
STATE = """
[state]
files = ["{name}.state", "{name}.more"]
quiet = "200ms"
steps = [
  { file = "{name}.state", pattern = '"step": (\\d+)' },
  { file = "{name}.more", pattern = '"step": (\\d+)' },
]
whole = [{ file = "{name}.*", pattern = '^END$' }]

[outputs]
files = ["{name}.log"]
how = "apart"

[resume]
arguments = ["--restart"]
"""
DONE = """
[done]
file = "{name}.result"
"""
STOPS = {
    "signal": '[stop]\nhow = "signal"\nsignal = "TERM"\n',
    "file": '[stop]\nhow = "file"\nfile = "{name}.EXIT"\npoll = "100ms"\n',
    "time": '[limit]\narguments = ["--maxs", "{limit}"]\n',
    "periodic": "",
}
OPTIONS = {
    "signal": ["--hears-signal"],
    "file": [],
    "time": [],
    "periodic": ["--every", "100"],
}


def recipe(folder: Path, how: str, *, state: str = STATE, done: str = DONE, more: str = "", lead: str = "1s") -> str:
    """Write the recipe of a fake; return its path."""
    path = folder / "fake.toml"
    common = _COMMON.replace('"1s"', f'"{lead}"')
    path.write_text(f'name = "fake"\n{more}{common}{STOPS[how]}{state}{done}')
    return str(path)


def fake(folder: Path) -> str:
    """Put the fake where its name is that of a program."""
    path = folder / "fakesim"
    path.write_text(f"#!{sys.executable}\n{(HERE / 'fake.py').read_text()}")
    path.chmod(0o755)
    return str(path)


class Started:
    """`outlast run --recipe ...`, running."""

    def __init__(self, folder: Path, recipe: str, command: Sequence[str], *options: str, **env: str) -> None:
        words = ["--recipe", recipe, "--store", str(folder / "store"), "--every", "300ms", *options]
        self._said: list[str] = []
        self._news = threading.Condition()
        self._out = open(folder / "said", "a")  # noqa: SIM115  (closed at its end)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "outlast", "run", *words, "--", *command],
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

    def await_line(self, text: str, count: int = 1, *, most: int = sys.maxsize) -> None:
        """Wait until a text was said so often; with more than `most` commits it is not awaited any longer."""

        def is_said() -> bool:
            assert self.said.count("committed step") <= most, self.said
            return self.said.count(text) >= count

        with self._news:
            assert self._news.wait_for(is_said, BOUND_S), self.said

    def await_output(self, folder: Path, text: str) -> None:
        until_s = time.monotonic() + BOUND_S
        while text not in (folder / "said").read_text():
            assert time.monotonic() < until_s, self.said
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill the supervisor: with it goes all that it started."""
        self.process.send_signal(signal.SIGKILL)
        self.end()

    def end(self, bound_s: float = BOUND_S) -> int:
        self.process.wait(bound_s)
        self._reader.join(BOUND_S)
        self._out.close()
        return self.process.returncode

    def notice(self, bound_s: float = BOUND_S) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.end(bound_s)
