"""A real `outlast.Run` program under a real `outlast run`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import outlast
from run.holding import Hold

PROGRAM = Path(__file__).with_name("program.py")


class Supervised:
    def __init__(self, folder: Path) -> None:
        self.store, self.out = folder / "store", folder / "out"
        self.hold = Hold(folder / "hold")
        self.started: list[subprocess.Popen[str]] = []

    def close(self) -> None:
        self.hold.release()  # what a supervisor leaves behind hears that it is gone, and leaves
        for process in self.started:
            process.kill()
            process.stdout.close()
            process.stderr.close()
            process.wait()

    def start(self, options: list[str], *program: object, shell: str = "") -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "outlast.cli.main", "run", "--json", *options, "--"]
        command += ["sh", "-c", shell, "sh"] if shell else []
        command += [sys.executable, str(PROGRAM), str(self.store), str(self.out), "--hold", str(self.hold.path)]
        command += map(str, program)
        self.started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return self.started[-1]

    @property
    def steps(self) -> list[int]:
        return [int(line) for line in Path(f"{self.out}.steps").read_text().split()]


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Supervised]:
    supervised = Supervised(tmp_path)
    yield supervised
    supervised.close()


@pytest.fixture(scope="module")
def lasted(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, float]:
    folder = tmp_path_factory.mktemp("undisturbed")
    begun_s = time.monotonic()
    subprocess.run([sys.executable, PROGRAM, folder / "store", folder / "out"], check=True, capture_output=True)
    return (folder / "out").read_text(), time.monotonic() - begun_s


@pytest.fixture(scope="module")
def undisturbed(lasted: tuple[str, float]) -> str:
    return lasted[0]


@pytest.fixture(scope="module")
def short(lasted: tuple[str, float]) -> tuple[list[str], list[object]]:
    """A wall time in which no attempt gets far, and a program that needs more: on a slow machine all takes longer."""
    limit_s = 3 + 3 * max(0.5, lasted[1])
    options = ["--time", f"{limit_s:.1f}s", "--grace", f"{0.4 * limit_s:.1f}s"]
    return options, ["--pause", 0.07 * limit_s / 3, "--every", "1000"]


def read_events(process: subprocess.Popen[str]):
    for line in process.stderr:
        if line.startswith("{"):
            yield json.loads(line)


def test_a_wall_time_limit_again_and_again(
    supervised: Supervised, undisturbed: str, short: tuple[list[str], list[object]]
) -> None:
    process = supervised.start(short[0], *short[1])
    events = list(read_events(process))
    assert process.wait() == 0, events
    assert supervised.out.read_text() == undisturbed
    attempts = outlast.Store(supervised.store).attempts()
    assert len(attempts) > 2
    assert all(a.last("ended")["outcome"] == "preempted" for a in attempts[:-1])
    assert max(Counter(supervised.steps).values()) == 1  # no step is lost at a wall-time limit


def test_killed_and_restarted(supervised: Supervised, undisturbed: str) -> None:
    supervised.hold.at(12)
    process = supervised.start([])
    kills = 0
    for event in read_events(process):
        if event["event"] == "committed" and kills < 2 and event["step"] == (10, 30)[kills]:
            live = outlast.Store(supervised.store).live()
            os.kill(live.pid, signal.SIGKILL)
            kills += 1
            supervised.hold.at(32) if kills == 1 else supervised.hold.release()
    assert process.wait() == 0
    assert kills == 2
    assert supervised.out.read_text() == undisturbed


def test_a_crash_loop_stops(supervised: Supervised) -> None:
    process = supervised.start(["--tries", "2"], "--raise-at", 3)
    list(read_events(process))
    assert process.wait() == 86
    assert Counter(supervised.steps)[3] == 2


def test_notice_to_the_supervisor(supervised: Supervised) -> None:
    process = supervised.start([], "--pause", 0.02, "--steps", 100000)
    for event in read_events(process):
        if event["event"] == "committed":
            process.send_signal(signal.SIGTERM)
            break
    list(read_events(process))
    assert process.wait() == 85
    assert outlast.Store(supervised.store).attempts()[-1].last("ended")["outcome"] == "preempted"


@pytest.mark.parametrize("shell", ['"$@"; echo after', '"$@" | cat'], ids=["and more", "pipe"])
def test_a_shell_does_not_hide_that_the_program_is_not_done(
    supervised: Supervised, undisturbed: str, short: tuple[list[str], list[object]], shell: str
) -> None:
    """It ends with 0, for it went on after the program's 85."""
    process = supervised.start(short[0], *short[1], shell=shell)
    events = list(read_events(process))
    assert process.wait() == 0, events
    assert supervised.out.read_text() == undisturbed
    assert len(outlast.Store(supervised.store).attempts()) > 2
    assert any("is not done: taken as 85" in e.get("text", "") for e in events)


def test_a_shell_does_not_hide_a_crash(supervised: Supervised, undisturbed: str) -> None:
    """`python train.py | tee log` ends with the status of tee."""
    process = supervised.start([], "--raise-at", 30, shell='"$@" | cat')
    events = list(read_events(process))
    assert process.wait() == 86, events
    assert any("is not done: taken as 85" in e.get("text", "") for e in events)


@pytest.mark.parametrize("shell", ["", '"$@" | cat'], ids=["plain", "pipe"])
def test_outlast_stop_is_final(supervised: Supervised, shell: str) -> None:
    process = supervised.start([], "--pause", 0.02, "--steps", 100000, shell=shell)
    for event in read_events(process):
        if event["event"] == "committed":
            break
    stop = subprocess.run([sys.executable, "-m", "outlast.cli.main", "stop", str(supervised.store)], check=False)
    assert stop.returncode == 0
    list(read_events(process))
    assert process.wait() == 85
    assert len(outlast.Store(supervised.store).attempts()) == 1


def test_done_before_is_done_at_once(supervised: Supervised) -> None:
    for _ in range(2):
        process = supervised.start([])
        list(read_events(process))
        assert process.wait() == 0
    assert len(supervised.steps) == 60


def test_a_busy_store_is_not_tried_again(supervised: Supervised) -> None:
    first = supervised.start([], "--pause", 0.05, "--steps", 100000)
    for event in read_events(first):
        if event["event"] == "committed":
            break
    second = supervised.start([])
    list(read_events(second))
    assert second.wait() == 5
    first.kill()
    first.communicate()
