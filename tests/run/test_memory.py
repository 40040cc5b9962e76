"""At most one extra copy of the state: saving copies it once, into memory that is kept; restoring fills it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
