"""`start` and `end_tree` on their own; the reading of /proc."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from outlast.errors import UsageError
from outlast.supervise import StartError, end_tree, start, supervise, tree
from outlast.supervise.processes import Process, below, in_sessions, look


def test_start_passes_streams_and_environment():
    process = start(["sh", "-c", "cat; echo $ONLY"], {"ONLY": "this"}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.communicate(b"in\n")[0] == b"in\nthis\n"
    assert process.returncode == 0


def test_start_in_a_session_of_its_own():
    process = start(["sleep", "1000"])
    assert os.getsid(process.pid) == process.pid
    assert end_tree(process.pid) == ()
    assert process.wait() == -15


def test_start_looks_in_the_path_that_it_passes_on(tmp_path):
    tool = tmp_path / "tool-of-mine"
    tool.write_text("#!/bin/sh\necho found\n")
    tool.chmod(0o755)
    process = start(["tool-of-mine"], {"PATH": str(tmp_path)}, stdout=subprocess.PIPE)
    assert process.communicate()[0] == b"found\n"


@pytest.mark.parametrize(("command", "is_missing"), [("no-such-command", True), ("/", False)])
def test_start_errors_name_the_command(command, is_missing):
    with pytest.raises(StartError, match=f"cannot run '{command}'") as caught:
        start([command])
    assert caught.value.is_missing is is_missing


def test_start_beside_threads_that_hold_locks():
    """No Python code runs between fork and exec: a lock held at that moment does not matter."""
    stop = threading.Event()

    def busy():
        while not stop.is_set():
            threading.Lock()
            __import__("json").dumps(list(range(1000)))

    threads = [threading.Thread(target=busy) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            assert start(["true"]).wait(30) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_end_tree_finds_sessions_and_kills_the_stubborn(gone):
    script = """
import os, signal, subprocess, sys
signal.signal(15, signal.SIG_IGN)
one = subprocess.Popen(["sleep", "1000"], start_new_session=True)
two = subprocess.Popen(["sh", "-c", "(sleep 1000 & echo $!) ; exit 0"], stdout=subprocess.PIPE)
print(one.pid, two.stdout.readline().decode().strip(), flush=True)
signal.pause()
"""
    process = start([sys.executable, "-I", "-S", "-c", script], stdout=subprocess.PIPE)
    pids = [int(word) for word in process.stdout.readline().split()]
    assert end_tree(process.pid, term_s=0.3) == ()
    assert process.wait() == -9
    process.stdout.close()
    assert all(gone(pid) for pid in pids)


def test_end_tree_wakes_the_stopped(gone):
    process = start(["sh", "-c", "kill -STOP $$"])
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    assert end_tree(process.pid) == ()
    assert process.wait() == -15


def test_all_are_stopped_before_the_first_is_killed(monkeypatch):
    """A shell whose child is killed first would go on to its next command."""
    sent = []
    monkeypatch.setattr(tree.os, "kill", lambda pid, number: sent.append((pid, number)))
    assert tree.kill([7, 8])
    assert sent == [(pid, number) for number in (signal.SIGSTOP, signal.SIGKILL) for pid in (7, 8)]
    assert not tree.kill([])


def test_end_tree_of_nothing():
    process = start(["true"])
    process.wait()
    assert end_tree(process.pid) == ()


def test_supervise_refuses_another_thread():
    caught = []

    def run():
        try:
            supervise(["true"])
        except UsageError as e:
            caught.append(str(e))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert caught == ["a command can only be supervised from the main thread: signals arrive there"]


def test_supervise_refuses_an_empty_command():
    with pytest.raises(UsageError, match="no command"):
        supervise([])


def made(*rows):
    return {p: Process(pid=p, parent=pp, session=s, started=t, alive=True) for p, pp, s, t in rows}


def test_below_leaves_out_what_is_below_the_others():
    now = made((10, 1, 10, 0), (11, 10, 10, 1), (12, 11, 12, 2), (20, 10, 10, 3), (21, 20, 10, 4), (30, 1, 30, 5))
    assert below(now, {10}) == {11, 12, 20, 21}
    assert below(now, {10}, but=[now[20]]) == {11, 12}
    reused = Process(pid=20, parent=10, session=10, started=99, alive=True)
    assert below(now, {10}, but=[reused]) == {11, 12, 20, 21}, "another process that had this pid"


def test_in_sessions():
    assert in_sessions(made((10, 1, 10, 0), (11, 1, 10, 1), (12, 1, 12, 2)), {10}) == {10, 11}


def test_look_copes_with_strange_names(tmp_path):
    tool = tmp_path / "a) R 1 (b"
    tool.symlink_to("/bin/sleep")
    process = start([str(tool), "1000"])
    assert look(process.pid).parent == os.getpid()
    end_tree(process.pid)
    process.wait()
    assert look(process.pid) is None
