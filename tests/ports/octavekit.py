"""Octave for the tests of its port: how it is started, and its absence said."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent / "octave"
PROGRAM = HERE / "program.m"
PORT = Path(__file__).parents[2] / "ports" / "matlab"
EXAMPLE = Path(__file__).parents[2] / "examples" / "octave-digits"
OCTAVE = shutil.which("octave-cli")
ABSENT = "needs octave-cli: install Octave (Debian and Ubuntu: apt-get install octave)"
BOUND_S = 120  # so long nothing takes; a test that waits for it has failed


def command(program: Path, *arguments: object) -> list[str]:
    return [str(OCTAVE), "--norc", "--no-history", str(program), *map(str, arguments)]


def environment(**variables: str) -> dict[str, str]:
    """The environment of a computation that is the same each time, and not under a supervisor of these tests' own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OUTLAST_", "SLURM_"))}
    return {**kept, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **variables}


def run(folder: Path, program: Path, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(program, *arguments),
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )
