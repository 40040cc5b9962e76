"""Notice and children: a signal to the whole group ends nobody before the main process has saved."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import outlast
from outlast.run.notice import Notice

PROGRAM = """
import multiprocessing, os, sys, time
import outlast

def child(pipe):
    pipe.send("ready")
    while True:
        pipe.recv()
        pipe.send("alive")

state = {"n": 0}
ours, theirs = multiprocessing.Pipe()
with outlast.Run(sys.argv[1], state, every=1000) as run:
    process = multiprocessing.get_context("fork").Process(target=child, args=(theirs,), daemon=True)
    process.start()
    ours.recv()
    with run.shield():
        other = __import__("subprocess").Popen(["sleep", "100"])
    print("ready", flush=True)
    try:
        for step in run.steps(100000):
            time.sleep(0.01)
            state["n"] += 1
    finally:  # it has saved, for the notice
        ours.send("there?")
        print("child", ours.recv() if ours.poll(60) else "gone", "other", other.poll(), flush=True)
        other.kill()
        other.wait()
        process.terminate()  # must still work
        process.kill()
        process.join()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_children_survive_a_notice_to_the_group(tmp_path: Path, number: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "s")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, number)
    with process.stdout, process.stderr:
        said, errors = process.stdout.read(), process.stderr.read()
    assert process.wait() == 85, errors
    assert said == "child alive other None\n"


STOPPED = """
import os, sys, time
import outlast

def child():
    print("ready", flush=True)
    for line in sys.stdin:
        print(line, end="", flush=True)
    os._exit(0)

with outlast.Run(sys.argv[1], {"n": 0}, every=1000) as run:
    if os.fork() == 0:
        child()
    os.dup2(2, 1)  # who reads the child sees its end
    for step in run.steps(100000):
        time.sleep(0.01)
"""


def test_a_child_survives_though_the_main_process_has_no_time_to_hear(tmp_path: Path) -> None:
    """On a busy machine, or in a system call that hangs, it takes the signal long after the child has."""
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED, str(tmp_path / "s")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            os.kill(process.pid, signal.SIGSTOP)
            os.waitpid(process.pid, os.WUNTRACED)
            os.killpg(process.pid, signal.SIGTERM)
            for asked in ("there?\n", "and after the handler?\n"):  # the first may be answered before it
                process.stdin.write(asked)
                process.stdin.flush()
                assert process.stdout.readline() == asked
            os.kill(process.pid, signal.SIGCONT)
            assert process.wait() == 85
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_terminate_still_ends_a_child(tmp_path: Path) -> None:
    with outlast.Run(tmp_path / "s", {"x": 1}):
        child = multiprocessing.get_context("fork").Process(target=signal.pause)
        child.start()
        child.terminate()
        child.join(200)
        assert child.exitcode == -signal.SIGTERM


def test_a_signal_is_heard_while_the_main_thread_is_busy() -> None:
    """The wake-up socket tells what Python's handler has had no chance to say."""
    notice = Notice()
    assert notice.install()
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert notice.reason == "signal SIGUSR1"
        notice.poll()
        assert notice.again() is None
        assert notice._parent_was_told()  # a forked child still sees it, though it was read
    finally:
        notice.uninstall()


def seen(*signals: tuple[int, float, float]) -> int | None:
    notice = Notice()
    for number, earliest_s, latest_s in signals:
        notice._note(number, earliest_s=earliest_s, latest_s=latest_s)
    return notice.again()


def test_again_is_the_same_signal_a_second_later_or_ctrl_c() -> None:
    term, usr1, ctrl_c = signal.SIGTERM, signal.SIGUSR1, signal.SIGINT
    assert seen((term, 0, 0.2), (term, 0.2, 0.4)) is None  # a batch system's double
    assert seen((usr1, 0, 0.2), (term, 3, 3.2)) is None  # the next stage of the same notice
    assert seen((term, 0, 0.2), (term, 3, 3.2)) == term
    assert seen((term, 0, 0.2), (ctrl_c, 3, 3.2)) == ctrl_c
    assert seen((term, 0, 0.2), (ctrl_c, 0.2, 3.2)) is None  # nobody looked meanwhile: it may have been the double


def test_many_other_signals_do_not_fill_the_socket() -> None:
    """torch's loaders have a SIGCHLD handler: each worker that ends writes into the wake-up socket."""
    notice = Notice()
    before = signal.signal(signal.SIGCHLD, lambda *_: None)
    assert notice.install()
    try:
        for _ in range(2000):
            signal.raise_signal(signal.SIGCHLD)
            notice.poll()
        notice._first_s[signal.SIGTERM] = time.monotonic() - 5
        signal.raise_signal(signal.SIGTERM)
        notice._polled_s = time.monotonic()
        notice.poll()
        assert notice.again() == signal.SIGTERM
    finally:
        notice.uninstall()
        signal.signal(signal.SIGCHLD, before)


def test_an_event_loop_keeps_its_wakeup(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    before = signal.set_wakeup_fd(write)
    try:
        with outlast.Run(tmp_path / "s", {"x": 1}) as run:
            os.kill(os.getpid(), signal.SIGUSR1)
            assert run._notice.reason == "signal SIGUSR1"
            assert run._notice._parent_was_told()  # a forked child has no socket to see it by
            run._notice.reason = None
        assert signal.set_wakeup_fd(write) == write
    finally:
        signal.set_wakeup_fd(before)
        os.close(read)
        os.close(write)


EARLY = """
import os, signal, sys
import outlast
from outlast.store import Store

claim = Store.claim

def claim_as_the_notice_comes(self, **more):
    os.kill(os.getpid(), signal.SIGTERM)
    return claim(self, **more)

Store.claim = claim_as_the_notice_comes
try:
    with outlast.Run(sys.argv[1], {"x": 1}) as run:
        raise AssertionError("entered")
except SystemExit:
    os.kill(os.getpid(), signal.SIGTERM)  # the double of the notice, on the way out
    raise
"""


def test_a_second_notice_on_the_way_out_before_the_first_step_leaves_the_status_alone(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", EARLY, tmp_path / "s"], capture_output=True, timeout=200, check=False)
    assert done.returncode == 85, done.stderr
