"""The Octave example, killed again and again below `outlast run`: the same result, to the last bit, as undisturbed."""

from __future__ import annotations

import functools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ports import octavekit
from ports.octavekit import BOUND_S, EXAMPLE, HERE
from proof.core import Harness

_SOURCE = str(Path(__file__).parents[2] / "src")
_EPOCHS_A_KILL = 2 * 10
_LONGEST_S = 0.5  # from a commit to the kill


def cases() -> Iterator[str]:
    """How many kills."""
    yield from ("3", "20")


def _example(epochs: int) -> tuple[list[str], dict[str, str]]:
    command = [str(octavekit.OCTAVE), "--norc", "--no-history", "--path", str(EXAMPLE), "--eval", "train"]
    return command, octavekit.environment(EPOCHS=str(epochs), PYTHONPATH=_SOURCE)


@functools.lru_cache(4)
def _undisturbed(epochs: int) -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    command, environment = _example(epochs)
    done = subprocess.run(
        command, cwd=folder.name, env=environment, capture_output=True, text=True, timeout=BOUND_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


def _compare(one: Path, other: Path, folder: Path) -> None:
    """Two saved states are equal to the last bit, and so are the random generators that it uses."""
    script = folder / "compare.m"
    script.write_text(f"""addpath('{HERE}');
        one = load('{one}');
        other = load('{other}');
        check(bits(one.state, other.state), 'the states differ');
        for name = {{'rand', 'randn'}}  % those that the example has seeded
            check(isequal(one.outlast_head.random.(name{{1}}), other.outlast_head.random.(name{{1}})), name{{1}});
        end
        """)
    done = octavekit.run(folder, script)
    assert done.returncode == 0, done.stderr


def run(case: str, folder: Path) -> int:
    kills = int(case)
    epochs = kills * _EPOCHS_A_KILL
    draw = random.Random(f"octave_run {case}")
    command, environment = _example(epochs)
    supervisor = [sys.executable, "-m", "outlast", "run", "--json", "--store", "store", "--every", "0.1s", "--"]
    dealt = pid = 0
    with subprocess.Popen(
        [*supervisor, *command],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            event = json.loads(line) if line.startswith("{") else {}
            if event.get("event") == "start":
                pid = event["pid"]
            elif event.get("event") == "committed" and dealt < kills and pid:
                time.sleep(draw.uniform(0, _LONGEST_S))
                with suppress(ProcessLookupError):  # it has just ended by itself
                    os.kill(pid, signal.SIGKILL)
                dealt, pid = dealt + 1, 0
    assert process.returncode == 0
    assert dealt == kills
    alone = Path(_undisturbed(epochs).name)
    assert (folder / "weights.bin").read_bytes() == (alone / "weights.bin").read_bytes()
    steps = sorted((folder / "store").glob("step-*/files/state/state"))
    (last,) = (alone / ".outlast").glob("*.mat")
    _compare(steps[-1], last, folder)
    return kills


HARNESS = Harness(cases=cases, run=run, sample=1, tools=("octave-cli",), on_disk=True)
