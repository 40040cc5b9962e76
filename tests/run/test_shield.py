"""The shield: children do not hear the notice, the process itself loses none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from outlast.run.shield import SHIELDED, shielded


def mask():
    return signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_the_mask_is_put_back_also_after_an_error():
    before = mask()
    with pytest.raises(ValueError), shielded():
        assert mask() >= SHIELDED
        raise ValueError
    assert mask() == before


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_starting_the_resource_tracker_does_not_lift_it(method):
    with shielded(method):
        assert mask() >= SHIELDED


def test_shields_nest():
    with shielded():
        with shielded():
            pass
        assert mask() >= SHIELDED


def test_a_signal_that_comes_meanwhile_is_heard_afterwards():
    heard = []
    previous = signal.signal(signal.SIGUSR2, lambda *_: heard.append(1))
    try:
        with shielded():
            os.kill(os.getpid(), signal.SIGUSR2)
        assert heard == [1]
    finally:
        signal.signal(signal.SIGUSR2, previous)


def test_a_child_keeps_it_through_exec():
    with shielded():
        child = subprocess.Popen([sys.executable, "-c", "print(input())"], stdin=-1, stdout=-1, text=True)
    with child:
        for number in SHIELDED:
            child.send_signal(number)
        assert child.communicate("alive")[0] == "alive\n"
    assert child.returncode == 0
