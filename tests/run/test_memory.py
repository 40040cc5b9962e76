"""At most one extra copy of the state: saving copies it once, into memory that is kept; restoring fills it."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

PROGRAM = """
import re, sys
import numpy as np
import outlast

def peak_mib():  # not getrusage: its peak is inherited from whoever started us
    with open("/proc/self/status") as status:
        return int(re.search(r"VmHWM:\\s+([0-9]+) kB", status.read())[1]) // 1024

state = {f"a{i}": np.full(8 << 20, float(i)) for i in range(3)}  # 3 x 64 MiB
with outlast.Run(sys.argv[1], state, every=1) as run:
    before = peak_mib()
    restored = run.restored is not None
    for step in run.steps(6):
        for array in state.values():
            array += 1
        if step == 3 and not restored:
            run.wait()
            print("save", peak_mib() - before, flush=True)
            sys.exit(7)
    print("restore", before, flush=True)
"""
STATE_MIB = 192
SCARCE = """
import os, resource, sys, time
from pathlib import Path
import numpy as np
import outlast
import xxhash

store, stops_at, kind, group = sys.argv[1:]
SIZE = 240 << 20
ROOM = SIZE * 10 // 6  # of which the state takes 60 %
if kind == "address-space":
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))
else:
    Path(group, "cgroup.procs").write_text(str(os.getpid()))
state = {"rows": [np.full(SIZE // 32, float(i)) for i in range(4)], "n": 0}
with outlast.Run(store, state, every=1, keep=1) as run:
    first = run.step
    for outer in run.range(3, "outer"):
        state["n"] += 1
        for step in run.range(2, "inner"):
            for i, row in enumerate(state["rows"]):
                row[step :: 7] += i + outer
            if run.step == int(stops_at):
                run.wait()
                os._exit(7)
digest = xxhash.xxh3_128()
for row in state["rows"]:
    digest.update(row)
print(first, state["n"], digest.hexdigest())
"""
STATE_MIB = 192
SLACK_MIB = 64


def test_peak_memory(tmp_path: Path) -> None:
    said = {}
    for status in (7, 0):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(tmp_path / "s")], capture_output=True, text=True, check=False
        )
        assert done.returncode == status, done.stderr
        word, number = done.stdout.split()
        said[word] = int(number)
    assert STATE_MIB / 2 < said["save"] < STATE_MIB + SLACK_MIB  # one copy, not two
    # Python and NumPy themselves, the state, and the one copy from which the way back into the loop is rewound
    assert said["restore"] < 2 * STATE_MIB + 2 * SLACK_MIB


@pytest.fixture
def group() -> Iterator[Path]:
    """A memory cgroup (version 1) for one program, in which a state takes 60 %."""
    path = Path("/sys/fs/cgroup/memory") / f"outlast-test-{uuid.uuid4().hex}"
    try:
        path.mkdir()
        (path / "memory.limit_in_bytes").write_text(str(400 << 20))
    except OSError as e:
        pytest.skip(f"cannot make a memory cgroup: {e}")
    yield path
    path.rmdir()


def _scarce(store: Path, stops_at: int, kind: str, group: Path | str = "") -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", SCARCE, str(store), str(stops_at), kind, str(group)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def _check_scarce(tmp_path: Path, kind: str, group: Path | str = "") -> None:
    whole = _scarce(tmp_path / "whole", -1, kind, group)
    assert whole[0] == 0, whole
    assert whole[2].count("the loop waits while its state is saved") == 1
    first = _scarce(tmp_path / "s", 3, kind, group)
    assert first[0] == 7, first  # by itself, and not killed
    status, said, told = _scarce(tmp_path / "s", -1, kind, group)
    assert status == 0, told
    assert "restored step 3" in told
    assert said.split()[0] == "3"
    assert said.split()[1:] == whole[1].split()[1:]  # as if nothing had happened


def test_a_state_of_most_of_the_cgroup_is_saved_and_restored(tmp_path: Path, group: Path) -> None:
    _check_scarce(tmp_path, "cgroup", group)
    assert "oom_kill 0" in (group / "memory.oom_control").read_text()


def test_a_state_of_most_of_the_address_space_is_saved_and_restored(tmp_path: Path) -> None:
    _check_scarce(tmp_path, "address-space")
