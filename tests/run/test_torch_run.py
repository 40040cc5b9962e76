"""A PyTorch training with loader workers: notice to the whole process group, SIGKILL, and the same result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import outlast
from run.holding import Hold

PROGRAM = Path(__file__).with_name("torch_program.py")


def hold_of(store: Path) -> Hold:
    return Hold(store.with_name("hold"))


def start(store: Path, workers: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(store), str(workers), str(hold_of(store).path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    with process.stdout:
        said = process.stdout.read()
    return process.wait(), said.splitlines()


def strike(start: Callable[[Path], subprocess.Popen[str]], store: Path, after: int, send) -> tuple[int, list[str]]:
    """Start it, hold it after so many batches, send the signal, and return how it ended and all batches."""
    hold = hold_of(store)
    hold.at(after)
    process = start(store)
    seen = [process.stdout.readline().rstrip() for _ in range(after)]
    send(process.pid)
    hold.release()
    status, rest = finish(process)
    return status, seen + rest


def final(path: Path) -> dict:
    store = outlast.Store(path)
    manifest = store.manifest(store.checkpoints()[0])
    assert manifest.done
    with store.source(manifest) as source:
        leaves = {leaf.path: bytes(source.read(leaf.path)) for leaf in manifest.leaves}
    return leaves | {"tree": json.dumps(manifest.tree), "step": manifest.step, "loss": manifest.metrics}


@pytest.mark.torch
@pytest.mark.parametrize("workers", [0, 4])
def test_notice_to_the_group_and_sigkill(tmp_path: Path, workers: int) -> None:
    status, expected = finish(start(tmp_path / "undisturbed", workers))
    assert status == 0
    assert len(expected) == 48
    wounded = tmp_path / "wounded"
    wound = partial(strike, partial(start, workers=workers), wounded)
    status, first = wound(7, lambda pid: os.killpg(pid, signal.SIGTERM))
    assert status == 85, first
    assert first == expected[: len(first)]
    status, second = wound(16, lambda pid: os.killpg(pid, signal.SIGKILL))
    assert status == -signal.SIGKILL
    begin = len(first)  # notice: nothing twice, nothing skipped
    assert second == expected[begin : begin + len(second)]
    status, third = finish(start(wounded, workers))
    assert status == 0
    assert third == expected[48 - len(third) :]
    assert final(wounded) == final(tmp_path / "undisturbed")
