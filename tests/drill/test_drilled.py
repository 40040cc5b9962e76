"""The seam in the storage calls: what the drill's folder asks for happens at that call, in every process of the run."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import pytest

import outlast
from outlast.backends import drilled
from outlast.errors import SpaceError, UsageError
from outlast.store import Store

SAVE = """
import sys, outlast
with outlast.Run(sys.argv[1], {"t": 0.0}) as run:
    for step in run.steps(2): pass
"""


def _save(store, folder) -> int:
    env = {**os.environ, drilled.DRILL: str(folder)}
    command = [sys.executable, "-c", SAVE, str(store)]
    return subprocess.run(command, env=env, stderr=subprocess.DEVNULL, check=False).returncode


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "drill").mkdir()
    return tmp_path / "drill"


def test_dies_at_the_call_that_was_asked_for_and_not_again(tmp_path, folder):
    assert _save(tmp_path / "counted", folder) == 0
    calls = (folder / drilled.CALLS).stat().st_size
    assert calls > 10
    (folder / drilled.CALLS).unlink()
    (folder / drilled.KILL).write_text(str(calls // 2))
    assert _save(tmp_path / "killed", folder) == -signal.SIGKILL
    assert (folder / drilled.CALLS).stat().st_size == calls // 2
    assert _save(tmp_path / "killed", folder) == 0  # the number lies behind
    assert Store(tmp_path / "killed").newest().done


def test_a_write_is_cut_in_half(tmp_path, folder):
    (folder / drilled.KILL).write_text("1")
    calls = drilled.Drilled(str(folder))
    path = tmp_path / "file"
    pid = os.fork()
    if pid == 0:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT)
        calls.writev(fd, [b"abcd", b"efgh"])
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert path.read_bytes() == b"abcd"


def test_the_disk_is_full_as_long_as_it_says(tmp_path, folder, monkeypatch):
    monkeypatch.setenv(drilled.DRILL, str(folder))
    state = {"t": 0.0}
    with pytest.raises(SpaceError), outlast.Run(tmp_path / "store", state, every=1) as run:
        for step in run.steps(3):
            if step == 1:
                (folder / drilled.FULL).touch()
    (folder / drilled.FULL).unlink()
    with outlast.Run(tmp_path / "store", state, every=1, takeover=True) as run:  # that attempt was this process
        for _ in run.steps(3):
            pass
    calls = drilled.Drilled(str(folder))
    (folder / drilled.FULL).touch()
    for refused in (lambda: calls.mkdir(str(tmp_path / "new")), lambda: calls.open(str(tmp_path / "f"), os.O_CREAT)):
        with pytest.raises(OSError) as caught:
            refused()
        assert caught.value.errno == errno.ENOSPC


def test_a_store_outside_of_the_drill_is_refused(tmp_path, folder, monkeypatch):
    monkeypatch.setenv(drilled.DRILL, str(folder))
    outside = tmp_path.parent / f"{tmp_path.name}-real"
    with pytest.raises(UsageError, match="must not touch your real store"):
        Store(outside, create=True)
    link = tmp_path / "link"
    link.symlink_to(outside)
    with pytest.raises(UsageError, match="must not touch your real store"):
        Store(link, create=True)
    assert not outside.exists()
    assert Store(tmp_path / "inside", create=True).is_new


def test_nothing_is_in_use_outside_of_a_drill(tmp_path, monkeypatch):
    monkeypatch.delenv(drilled.DRILL, raising=False)
    assert drilled.calls() is None
    assert type(Store(tmp_path / "store", create=True).backend.calls).__name__ == "Syscalls"
