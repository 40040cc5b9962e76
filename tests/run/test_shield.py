"""The shield: children do not hear the notice, the process itself loses none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress

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


PARENT = """
import multiprocessing, os, signal, sys, threading
from outlast.run.shield import EndsWithUs, shielded

def work(begin, line):
    begin()
    line.send("begun")
    line.recv()
    os.write(1, b"here\\n")
    signal.pause()

def start(method, lines):
    context = multiprocessing.get_context(method)
    with shielded(method):
        for _ in range(2):
            here, there = multiprocessing.Pipe()
            context.Process(target=work, args=(EndsWithUs(None, method), there)).start()
            assert here.recv() == "begun"
            lines.append(here)

if __name__ == "__main__":
    lines = []
    thread = threading.Thread(target=start, args=(sys.argv[1], lines))
    if sys.argv[2] == "main":
        thread.run()
    else:
        thread.start()
        thread.join()
        while os.path.exists(f"/proc/self/task/{thread.native_id}"):
            pass
    for line in lines:
        line.send("?")
    signal.pause()
"""


@pytest.mark.parametrize(
    ("method", "thread"), [("fork", "main"), ("spawn", "main"), ("forkserver", "main"), ("fork", "another")]
)
def test_a_child_ends_with_a_killed_process_and_not_with_a_thread(tmp_path, method, thread):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(script), method, thread]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True, env=env) as process:
        try:
            said = [process.stdout.readline() for _ in range(2)]
            process.kill()
            process.communicate(timeout=60)  # till nobody is left who could say something
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert said == ["here\n", "here\n"]
