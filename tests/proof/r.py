"""R killed in a loop that does nothing but save: no step that was saved is lost, and none is torn.

The package alone, which keeps its files itself; below the supervisor it only writes and renames.
"""

from __future__ import annotations

import functools
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ports import rkit
from proof.core import Harness

_KILLS = 100
_STEPS = 3000
_SIZE = 50_000  # numbers, so that most of the time goes into writing
_LONGEST_S = 0.3  # from the first save to the kill


def cases() -> Iterator[str]:
    yield from map(str, range(_KILLS))


@functools.lru_cache(1)
def _undisturbed() -> str:
    with tempfile.TemporaryDirectory() as folder:
        return _finish(Path(folder))[1]


def _finish(folder: Path) -> tuple[int, str]:
    """Run to the end; return the step at which that began, and the result."""
    done = rkit.run(folder, rkit.PROGRAM, _STEPS, 3600, _SIZE, 0)
    assert done.returncode == 0, done.stderr
    assert "damaged" not in done.stderr
    lines = done.stdout.splitlines()
    return int(lines[0].removeprefix("begins at ")), lines[-1]


def _killed(folder: Path, after_s: float) -> int:
    """Run, saving at each step, and kill; return the last step that was said to be saved."""
    program = rkit.Started(folder, _STEPS, 0, _SIZE, 0)
    first = program.await_line("saved")
    time.sleep(after_s)
    program.process.kill()
    program.end()
    whole = program.rest[: program.rest.rfind("\n") + 1].splitlines()
    return max(int(line.split()[1]) for line in [first, *whole] if line.startswith("saved"))


def run(case: str, folder: Path) -> int:
    saved = _killed(folder, random.Random(f"R {case}").uniform(0, _LONGEST_S))
    begun, result = _finish(folder)
    assert begun >= saved, f"step {saved} was saved, and it began again at {begun}"
    assert result == _undisturbed()
    assert not list(folder.glob(".outlast/.new-*"))
    return 1


HARNESS = Harness(cases=cases, run=run, sample=8, tools=("Rscript",))
