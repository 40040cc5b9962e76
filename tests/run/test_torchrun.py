"""Ranks that torchrun has started, below `outlast run`: the notice reaches them, and nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

import outlast

PROGRAM = """
import json, os, sys
import torch
from torch import distributed as dist
import outlast

dist.init_process_group("gloo")
rank, state = dist.get_rank(), {"x": torch.zeros(4), "rng": outlast.RNG()}
torch.manual_seed(dist.get_rank())
with outlast.Run(sys.argv[1], state, every="10min") as run:
    for step in run.steps(int(sys.argv[2])):
        state["x"] += torch.randn(4)
        dist.all_reduce(state["x"])
        if step < 3:
            told = json.dumps({"rank": rank, "step": step, "pid": os.getpid(), "attempt": run.attempt})
            os.write(1, told.encode() + os.linesep.encode())  # one piece; `print`, under torchrun, is two
dist.destroy_process_group()
"""
STEPS = 5_000_000  # more than there is time for


@contextmanager
def started(folder: Path, steps: int) -> Iterator[subprocess.Popen[str]]:
    program = folder / "train.py"
    program.write_text(PROGRAM)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    with (folder / "said").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "outlast", "run", "--", *launcher, str(program), str(folder / "store"), str(steps)],
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    assert process.stdout is not None
    try:
        with process.stdout:
            yield process
    finally:
        process.kill()  # after a failure: what it has started goes with it
        process.wait()


@pytest.mark.torch
def test_a_notice_reaches_all_ranks(tmp_path: Path) -> None:
    said = (tmp_path / "said").read_text
    with started(tmp_path, STEPS) as process:
        seen: dict[int, int] = {}
        while len(seen) < 2:
            line = process.stdout.readline()
            assert line, said()
            if line.startswith("{"):
                told = json.loads(line)
                seen[told["rank"]] = told["pid"]
        below = psutil.Process(process.pid).children(recursive=True)
        assert set(seen.values()) <= {one.pid for one in below}
        process.send_signal(signal.SIGUSR1)
        process.stdout.read()
        assert process.wait() == 85, said()
    assert "taken as 85" in said()
    assert [one for one in below if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []
    store = outlast.Store(tmp_path / "store")
    saved = store.newest()
    assert (saved.ranks, saved.done) == (2, False)
    with started(tmp_path, saved.step + 20) as process:
        process.stdout.read()
        assert process.wait() == 0, said()
    assert f"restored step {saved.step}" in said()
    assert (store.newest().done, store.newest().step) == (True, saved.step + 20)
