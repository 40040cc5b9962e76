"""CRIU itself, as root, on programs in three languages: killed, told to leave, and in the end as if never disturbed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

import outlast
from engines.kit import HERE, STEPS, Started, undisturbed
from outlast.cli import main as cli
from outlast.supervise.engines.criu import CRIU, Criu

OURS = "/opt/outlast-tests/criu/usr/sbin/criu"  # see `install`


@pytest.fixture(autouse=True)
def _there(monkeypatch):
    if not shutil.which("criu") and os.path.exists(OURS):
        monkeypatch.setenv(CRIU, OURS)
    standing = Criu().look()
    if standing.problem:
        pytest.skip(f"needs CRIU: {standing.problem}; {standing.remedy} (as root on Debian: tests/engines/install)")


@pytest.fixture
def start(tmp_path):
    """Start a program in the test's folder; what still runs at the end is killed."""
    started = []

    def start(words, **env):
        started.append(Started(tmp_path, words, **env))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.kill()


@pytest.fixture(scope="module")
def binary(tmp_path_factory):
    path = tmp_path_factory.mktemp("c") / "program"
    subprocess.run(["gcc", "-O1", "-o", path, HERE / "program.c"], check=True)
    return str(path)


def command(language: str, binary: str) -> list[str]:
    start = {
        "python": [sys.executable, str(HERE / "program.py")],
        "r": ["Rscript", str(HERE / "program.R")],
        "c": [binary],
    }
    return [*start[language], "out", str(STEPS)]


def restored(said: str) -> int:
    return int(said.split("restored step ")[1].split(maxsplit=1)[0])


@pytest.mark.parametrize("language", ["python", "r", "c"])
def test_a_program_outlasts_a_kill_and_a_notice(tmp_path: Path, start, binary, language):
    words = command(language, binary)
    expected = undisturbed(tmp_path, words)
    one = start(words)
    one.await_line("committed step", 2)
    one.kill()
    two = start(words)
    two.await_line("committed step")
    assert two.notice() == 85, two.said
    assert restored(two.said) >= 2
    (tmp_path / "fast").touch()
    three = start(words)
    assert three.end() == 0, three.said
    assert (tmp_path / "out").read_text() == expected[0]
    lines = (tmp_path / "said").read_text().splitlines()
    assert sorted(set(lines)) == sorted(expected[1].splitlines())
    assert lines[-1] == expected[1].splitlines()[-1]
    four = start(words)  # it is done
    assert four.end() == 0
    assert (tmp_path / "out").read_text() == expected[0]


def test_nothing_of_it_is_left_after_a_kill(tmp_path: Path, start, binary):
    marker = str(tmp_path / "out")
    one = start([binary, marker, "100000"])
    one.await_line("committed step")
    children = Path("/proc").glob("[0-9]*/cmdline")
    pids = [int(path.parent.name) for path in children if marker.encode() in _read(path)]
    descriptors = []
    for pid in pids:
        with suppress(ProcessLookupError):  # one that was about to become another program, and has ended since
            descriptors.append(os.pidfd_open(pid))
    assert len(descriptors) >= 3  # the supervisor, the host, the first process of the space, the program
    one.kill()
    import select

    poller = select.poll()
    for descriptor in descriptors:
        poller.register(descriptor, select.POLLIN)
    left = set(descriptors)
    while left:
        ready = poller.poll(60_000)
        assert ready, "processes are left"
        for descriptor, _ in ready:
            left.discard(descriptor)
            poller.unregister(descriptor)
            os.close(descriptor)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_damaged_image_is_passed_over(tmp_path: Path, start, binary):
    words = command("c", binary)
    expected = undisturbed(tmp_path, words)
    one = start(words)
    one.await_line("committed step", 2)
    assert one.notice() == 85
    store = outlast.Store(tmp_path / "store")
    newest = store.checkpoints()[0]
    pages = next((tmp_path / "store" / newest.format()).rglob("pages-*.img"))
    pages.chmod(0o600)
    data = bytearray(pages.read_bytes())
    data[len(data) // 2] ^= 1
    pages.write_bytes(data)
    (tmp_path / "fast").touch()
    two = start(words)
    assert two.end() == 0, two.said
    assert restored(two.said) < newest.step
    assert (tmp_path / "out").read_text() == expected[0]


HALF = """#!/bin/sh
if [ "$1" = dump ] && [ ! -e "{folder}/whole" ]; then
    shift 2
    : > "$1/inventory.img"
    kill -9 $$
fi
exec {criu} "$@"
"""


def test_an_image_whose_making_was_killed_is_not_taken(tmp_path: Path, start, binary):
    """The program goes on, and it is said; the next image is whole."""
    words = command("c", binary)
    expected = undisturbed(tmp_path, words)
    script = tmp_path / "criu"
    script.write_text(HALF.format(folder=tmp_path, criu=os.environ.get(CRIU) or shutil.which("criu")))
    script.chmod(0o755)
    one = start(words, **{CRIU: str(script)})
    one.await_line("no image could be made")
    assert not outlast.Store(tmp_path / "store").checkpoints()
    (tmp_path / "whole").touch()
    one.await_line("committed step")
    one.kill()
    (tmp_path / "fast").touch()
    assert start(words).end() == 0
    assert (tmp_path / "out").read_text() == expected[0]


def test_outputs_that_became_shorter_are_refused(tmp_path: Path, start, binary):
    words = command("c", binary)
    one = start(words)
    one.await_line("committed step")
    assert one.notice() == 85
    os.truncate(tmp_path / "out", 3)
    two = start(words)
    assert two.end() == 2
    assert "the program's outputs are not as they were" in two.said
    assert f"{tmp_path}/out had" in two.said


CONNECTED = """
import socket, sys, time
ours = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
while ours.recv(1) != b"x":
    pass
"""


def test_what_cannot_be_taken_is_said_and_goes_on(start):
    with socket.create_server(("127.0.0.1", 0)) as server:
        words = [sys.executable, "-c", CONNECTED, str(server.getsockname()[1])]
        one = start(words)
        theirs, _ = server.accept()
        with theirs:
            one.await_line("no image could be made")
            assert "network connections" in one.said
            theirs.send(b"x")
            assert one.end() == 0, one.said
    assert one.said.count("no image could be made") == 1


def test_the_status_of_a_program_and_of_one_that_cannot_be_started(start):
    assert start(["sh", "-c", "exit 7"]).end() == 7
    assert start(["sh", "-c", "kill -SEGV $$"]).end() == 128 + signal.SIGSEGV
    missing = start(["./no-such-program"])
    assert missing.end() == 127
    assert "./no-such-program: it was not found" in missing.said


def test_an_ordinary_user_is_told(tmp_path: Path, monkeypatch, capfd):
    monkeypatch.setattr("outlast.supervise.engines.namespaces.problem", lambda: "it needs root")
    assert Criu().look().problem == "it needs root"
    assert "--engine dmtcp" in Criu().look().remedy


def test_an_engine_needs_a_store_and_a_name(monkeypatch, capsys):
    monkeypatch.delenv("OUTLAST_STORE", raising=False)
    assert cli.main(["run", "--engine", "criu", "--", "true"]) == 2
    assert "need a store" in capsys.readouterr().err
    assert cli.main(["run", "--engine", "blcr", "--store", "x", "--", "true"]) == 2
    assert "known are: criu, dmtcp" in capsys.readouterr().err
