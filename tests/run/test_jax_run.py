"""A jitted JAX training, killed in the middle: the same result, to the bit, as of one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from run.test_torch_run import final, finish, hold_of, strike

pytest.importorskip("jax", reason="JAX is not installed here: pip install jax")

PROGRAM = Path(__file__).with_name("jax_program.py")
STEPS = 40


def start(store: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(store), str(hold_of(store).path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


@pytest.mark.jax
def test_sigkill_and_notice_change_nothing(tmp_path: Path) -> None:
    status, expected = finish(start(tmp_path / "undisturbed"))
    assert status == 0
    assert len(expected) == STEPS
    wounded = tmp_path / "wounded"
    status, first = strike(start, wounded, 14, lambda pid: os.killpg(pid, signal.SIGKILL))
    assert status == -signal.SIGKILL
    assert first == expected[: len(first)]
    status, second = strike(start, wounded, 9, lambda pid: os.kill(pid, signal.SIGTERM))
    assert status == 85
    begin = expected.index(second[0])
    assert 0 < begin < len(first)
    assert second == expected[begin : begin + len(second)]
    status, third = finish(start(wounded))
    assert status == 0
    assert third == expected[begin + len(second) :]  # notice: nothing twice, nothing skipped
    assert final(wounded) == final(tmp_path / "undisturbed")
