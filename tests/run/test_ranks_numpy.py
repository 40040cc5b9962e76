"""Ranks without PyTorch: a NumPy program with a part of the domain on each, as srun or mpirun starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import outlast

WORLD = 3
PROGRAM = """
import os, sys
import numpy as np
import outlast

rank, steps = int(os.environ["SLURM_PROCID"]), int(sys.argv[2])
state = {"u": np.zeros(100 + rank), "fixed": np.arange(50), "t": 0, "generator": np.random.default_rng(rank)}
with outlast.Run(sys.argv[1], state, every="10min", ranks=True) as run:
    print("begun", flush=True)
    for step in run.steps(steps):
        state["u"] += state["generator"].random(state["u"].shape)
        state["t"] += 1
"""
ENDLESS = 10**9


@contextmanager
def ranks(store: Path, steps: int) -> Iterator[list[subprocess.Popen[str]]]:
    found = []
    for rank in range(WORLD):
        found.append(
            subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(store), str(steps)],
                env={**os.environ, "SLURM_PROCID": str(rank), "SLURM_STEP_NUM_TASKS": str(WORLD)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    try:
        yield found
        for one in found:
            one.wait()
    finally:
        for one in found:
            one.kill()  # after a failure
            one.wait()
            one.stdout.close()
            one.stderr.close()


def ends(found: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    return [(one.wait(), one.stderr.read()) for one in found]


def final(path: Path) -> dict[str, Any]:
    manifest = outlast.Store(path).newest()
    assert (manifest.done, manifest.ranks) == (True, WORLD)
    leaves = {leaf.path: leaf.chunks for leaf in manifest.leaves}
    assert sorted(leaves) == ["%rank1/u", "%rank2/u", "fixed", "u"]
    return {"leaves": leaves, "tree": manifest.tree, "position": manifest.position}


def test_a_request_in_the_store_has_all_leave_and_they_go_on(tmp_path: Path) -> None:
    store = outlast.Store(tmp_path / "wounded", create=True)
    with ranks(tmp_path / "wounded", ENDLESS) as running:
        for one in running:
            assert one.stdout.readline() == "begun\n", one.stderr.read()
        store.request("stop", "a person asked to")
        assert [status for status, _ in ends(running)] == [85] * WORLD
    step = store.newest().step
    with ranks(tmp_path / "wounded", step + 1000) as running:
        assert [status for status, _ in ends(running)] == [0] * WORLD
    with ranks(tmp_path / "undisturbed", step + 1000) as running:
        assert [status for status, _ in ends(running)] == [0] * WORLD
    assert final(tmp_path / "wounded") == final(tmp_path / "undisturbed")


def test_a_second_copy_of_the_job_is_refused_on_all_ranks(tmp_path: Path) -> None:
    with ranks(tmp_path / "store", ENDLESS) as running:
        for one in running:
            assert one.stdout.readline() == "begun\n", one.stderr.read()
        with ranks(tmp_path / "store", ENDLESS) as again:
            told = ends(again)
        assert [status for status, _ in told] == [5] * WORLD
        assert all("still lives" in said for _, said in told)
        assert [one.poll() for one in running] == [None] * WORLD
        running[1].kill()
        assert {status for status, _ in ends(running)} == {1, -9}
