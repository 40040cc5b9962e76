"""R for the tests of its package: how it is installed and started, and its absence said."""

from __future__ import annotations

import atexit
import functools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent / "r"
ROOT = Path(__file__).parents[2]
PROGRAM = HERE / "program.R"
PORT = ROOT / "ports" / "r"
RSCRIPT = shutil.which("Rscript")
ABSENT = "needs Rscript and testthat: install R (Debian and Ubuntu: apt-get install r-base-core r-cran-testthat)"
BOUND_S = 200  # so long nothing takes; a test that waits for it has failed


def environment(**variables: str) -> dict[str, str]:
    """The environment of a computation that is the same each time, and not under a supervisor of these tests' own."""
    foreign = ("OUTLAST_", "SLURM_", "R_", "SGE_", "PBS_", "LSB_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **variables}


@functools.cache
def library() -> str:
    """A library with the package in it, for this process."""
    folder = tempfile.mkdtemp(prefix="outlast-r-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    command = ["R", "CMD", "INSTALL", "--no-docs", "--no-test-load", f"--library={folder}", str(PORT)]
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=BOUND_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


def command(program: Path, *arguments: object) -> list[str]:
    return [str(RSCRIPT), "--vanilla", str(program), *map(str, arguments)]


def run(folder: Path, program: Path, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(program, *arguments),
        cwd=folder,
        env=environment(R_LIBS=library(), **variables),
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )


class Started:
    """A program that runs, and whose lines are waited for."""

    def __init__(
        self, folder: Path, *arguments: object, program: Path = PROGRAM, prefix: tuple[str, ...] = (), **variables: str
    ) -> None:
        self._errors = folder / "stderr"
        with self._errors.open("a") as errors:
            self.process = subprocess.Popen(
                [*prefix, *command(program, *arguments)],
                cwd=folder,
                env=environment(R_LIBS=library(), **variables),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.rest = ""  # what it printed last, after its end

    def await_line(self, start: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(start):
                return line.rstrip("\n")
        raise AssertionError(f"it ended without {start!r}: {self.errors()}")

    def end(self) -> int:
        """Wait for its end; return its status."""
        assert self.process.stdout is not None
        self.rest = self.process.stdout.read()
        self.process.stdout.close()
        return self.process.wait(BOUND_S)

    def errors(self) -> str:
        return self._errors.read_text()


def example(name: str) -> Path:
    return ROOT / "examples" / f"r-{name}" / f"{name}.R"


def example_alone(folder: Path, name: str, *arguments: object) -> tuple[bytes, float]:
    """Run an example undisturbed; return its result, and how many seconds it took."""
    folder.mkdir()
    begin = time.monotonic()
    done = run(folder, example(name), *arguments)
    assert done.returncode == 0, done.stderr
    return (folder / f"{name}.csv").read_bytes(), time.monotonic() - begin


@dataclass(frozen=True, kw_only=True)
class Told:
    """How a run under the supervisor went: its status, its result, how many attempts were killed, what was said."""

    status: int
    result: bytes
    killed: int
    text: str


def supervisor(folder: Path, name: str, *arguments: object, options: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    words = ["run", "--json", "--store", "store", *options, "--", *command(example(name), *arguments)]
    source = os.pathsep.join([str(ROOT / "src"), *sys.path])
    return subprocess.Popen(
        [sys.executable, "-m", "outlast", *words],
        cwd=folder,
        env=environment(R_LIBS=library(), PYTHONPATH=source),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def example_killed(folder: Path, name: str, *arguments: object, kills: int, longest_s: float) -> Told:
    """Run an example under the supervisor, and kill so many attempts, each at a random time after its start."""
    folder.mkdir()
    drawn = random.Random(name)
    said, killed = [], 0
    options = ("--every", "0.3s", "--tries", str(2 * kills))
    with supervisor(folder, name, *arguments, options=options) as process:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            event = json.loads(line) if line.startswith("{") else {}
            if event.get("event") == "start" and kills:
                kills -= 1
                threading.Timer(drawn.uniform(0.3, longest_s), _kill, (event["pid"],)).start()
            killed += event.get("event") == "end" and event["status"] == 128 + signal.SIGKILL
        status = process.wait(BOUND_S)
    result = folder / f"{name}.csv"
    return Told(
        status=status, result=result.read_bytes() if result.exists() else b"", killed=killed, text="".join(said)
    )


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):  # it had ended
        os.kill(pid, signal.SIGKILL)
