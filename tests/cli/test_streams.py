"""Streams that are closed before Python begins, as a daemon's are: nothing ends because nobody listens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUN = "import sys, outlast\nwith outlast.Run(sys.argv[1], {'x': 1}) as run:\n    for step in run.steps(3): pass\n"


def closed(fds: str, *command: str) -> int:
    script = f'exec "$@" {" ".join(f"{fd}<&-" if fd == "0" else f"{fd}>&-" for fd in fds)}'
    return subprocess.run(["/bin/sh", "-c", script, "sh", *command], timeout=60, check=False).returncode


@pytest.mark.parametrize("fds", ["0", "1", "2", "012"])
def test_a_run_with_closed_streams(tmp_path: Path, fds: str) -> None:
    store = str(tmp_path / "s")
    assert closed(fds, sys.executable, "-c", RUN, store) == 0
    assert closed(fds, sys.executable, "-c", RUN, store) == 0  # it was done
    for verb in (["verify"], ["ls"], ["status"]):
        assert closed(fds, sys.executable, "-m", "outlast", *verb, store) == 0, verb


@pytest.mark.parametrize("fds", ["1", "2", "012"])
def test_a_supervised_run_with_closed_streams(tmp_path: Path, fds: str) -> None:
    command = [sys.executable, "-m", "outlast", "run", "--", sys.executable, "-c", RUN, str(tmp_path / "s")]
    assert closed(fds, *command) == 0
