"""Octave killed in a loop that does nothing but save: no step that was saved is lost, and none is torn.

`alone` the port keeps its files itself; `below` a supervisor, which is played here, it only writes and renames.
"""

from __future__ import annotations

import functools
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ports import octavekit
from ports.octavekit import BOUND_S, PROGRAM
from proof.core import Harness

_KILLS = 100  # of each kind
_STEPS = 20_000  # more than it comes to
_MORE = 50  # steps after the kill
_SIZES = {"alone": 50_000, "below": 500_000}  # numbers, so that much of the time goes into writing
_LONGEST_S = 0.3  # from the first save to the kill


def cases() -> Iterator[str]:
    for kind in _SIZES:
        yield from (f"{kind}:{number}" for number in range(_KILLS))


@functools.lru_cache(1)
def _undisturbed() -> list[str]:
    """What there is to be after each step, by the same program without any fault."""
    with tempfile.TemporaryDirectory() as folder:
        done = octavekit.run(Path(folder), PROGRAM, _STEPS, 3600, 1, 0)
    assert done.returncode == 0, done.stderr
    return [line.split()[2] for line in done.stdout.splitlines() if line.startswith("saved")]


def _go_on(folder: Path, size: int, step: int, **variables: str) -> int:
    """Start it again, to the end; return the step at which it began."""
    number = step + _MORE
    done = octavekit.run(folder, PROGRAM, number, 3600, size, 0, **variables)
    assert done.returncode == 0, done.stderr
    assert "damaged" not in done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == f"result {_undisturbed()[number - 1]} 1"
    return int(lines[0].removeprefix("begins at "))


def _start(folder: Path, size: int, stdout: int, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        octavekit.command(PROGRAM, _STEPS, 0, size, 0),
        cwd=folder,
        env=octavekit.environment(**variables),
        stdout=stdout,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _alone(folder: Path, after_s: float) -> None:
    size = _SIZES["alone"]
    with _start(folder, size, subprocess.PIPE) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("saved"):
            assert process.poll() is None, "it ended before it saved"
        time.sleep(after_s)
        process.kill()
        whole_lines = process.communicate(timeout=BOUND_S)[0].rpartition("\n")[0].splitlines()
    saved = max([1, *(int(line.split()[1]) for line in whole_lines if line.startswith("saved"))])
    begun = _go_on(folder, size, saved)
    assert begun >= saved, f"step {saved} was saved, and it began again at {begun}"
    assert not list(folder.glob(".outlast/new-*"))


def _below(folder: Path, after_s: float) -> None:
    """Always ask for another save; what has a step for a name must be whole, and the last one that was heard there."""
    size = _SIZES["below"]
    control, save, restore = (folder / name for name in ("control", "save", "restore"))
    control.mkdir()
    paths = {"OUTLAST_CONTROL": str(control), "OUTLAST_SAVE": str(save)}
    with _start(folder, size, subprocess.DEVNULL, **paths) as process:
        end_s = None
        while end_s is None or time.monotonic() < end_s:
            assert process.poll() is None, "it ended before it was killed"
            (control / "save").touch()
            if end_s is None and save.is_dir() and _steps(save):
                end_s = time.monotonic() + after_s
            time.sleep(0.001)
        process.kill()
    restore.mkdir()
    newest = _steps(save)[-1]
    (save / str(newest)).rename(restore / "state")
    begun = _go_on(folder, size, newest, **paths, OUTLAST_RESTORE=str(restore), OUTLAST_STEP=str(newest))
    assert begun == newest
    assert (control / "done").exists()
    assert not (folder / ".outlast").exists()


def _steps(save: Path) -> list[int]:
    return sorted(int(path.name) for path in save.iterdir() if path.name.isdigit())


def run(case: str, folder: Path) -> int:
    kind, _, _ = case.partition(":")
    after_s = random.Random(f"octave {case}").uniform(0, _LONGEST_S)
    {"alone": _alone, "below": _below}[kind](folder, after_s)
    return 1


HARNESS = Harness(cases=cases, run=run, sample=8, tools=("octave-cli",))
