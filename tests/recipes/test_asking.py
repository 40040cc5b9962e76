"""Who hears the request to stop: the application, and never what it stands behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from outlast.supervise import tree
from outlast.supervise.recipes import asking, reading, words
from outlast.supervise.recipes.recipe import Ask

RECIPE = 'name = "x"\ntitle = "X"\ndetect = ["fakesim"]\n[state]\nfiles = ["a"]\n[done]\nfile = "b"\n'
APPLICATION = """import signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print("ready", flush=True)
print(signal.sigwait({signal.SIGTERM}).name, flush=True)
"""


@pytest.fixture
def begin(tmp_path: Path):
    """Start a shell that is called `name` and reads the file ./fakesim."""
    started = []

    def begin(name: str, text: str) -> subprocess.Popen[str]:
        (tmp_path / "fakesim").write_text(text)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        started.append(
            subprocess.Popen([name, "./fakesim"], executable="/bin/sh", cwd=tmp_path, start_new_session=True, **pipes)
        )
        assert started[-1].stdout.readline() == "ready\n"
        return started[-1]

    yield begin
    for one in started:
        tree.end_tree(one.pid, term_s=0)
        one.communicate()


def asked(pid: int, *command: str, name: str = "TERM") -> str:
    recipe = reading.parse(RECIPE, where="x")
    return asking.ask(Ask(how="signal", signal=name), recipe, words.understood(recipe, command), pid, str)


@pytest.mark.parametrize("name", ["time", "mpirun"])
def test_the_application_hears_and_what_it_stands_behind_does_not(tmp_path: Path, begin, name):
    """It is a script here: its name is only an argument, as it is in the command line before it."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/fakesim").write_text(f"#!{sys.executable}\n{APPLICATION}")
    (tmp_path / "bin/fakesim").chmod(0o755)
    outer = begin(name, "bin/fakesim; echo over; read -r _\n")
    said = asked(outer.pid, name, "./fakesim")
    assert said.startswith("sent SIGTERM to ")
    assert said != f"sent SIGTERM to {outer.pid}"
    assert [outer.stdout.readline() for _ in range(2)] == ["SIGTERM\n", "over\n"]
    assert outer.poll() is None


@pytest.mark.parametrize("name", ["TERM", "USR2"])
def test_srun_is_asked_only_by_what_it_passes_on(begin, name):
    """The application is not below it, but below Slurm's daemon, and on other nodes."""
    launcher = begin("srun", 'trap "echo heard" TERM USR2; echo ready; while :; do sleep 0.02; done\n')
    said = asked(launcher.pid, "srun", "./fakesim", name=name)
    if name == "TERM":
        assert said == ""
        launcher.send_signal(signal.SIGUSR2)
    else:
        assert said == f"sent SIGUSR2 to {launcher.pid}"
    assert launcher.stdout.readline() == "heard\n"


def test_what_has_no_process_of_its_name_is_asked_itself(begin):
    alone = begin("sh", 'trap "echo heard" TERM; echo ready; while :; do sleep 0.02; done\n')
    assert asked(alone.pid, "nice", "./fakesim") == f"sent SIGTERM to {alone.pid}"
    assert asked(alone.pid, "mpirun", "./fakesim") == ""
    assert alone.stdout.readline() == "heard\n"
