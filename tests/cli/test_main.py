"""The command line as a whole: help, wrong use, and ends that it did not choose."""

import os
import subprocess
import sys

import pytest

from outlast.cli import ls
from outlast.cli.main import VERBS
from outlast.version import __version__
from storekit import Attempt

COMMAND = [sys.executable, "-m", "outlast.cli.main"]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(call, verb):
    found = call(verb, "--help")
    assert (found.status, found.err) == (0, "")
    assert found.out.startswith(f"usage: outlast {verb} ")
    assert "--json" in found.out


def test_help_names_every_verb(call):
    said = call("--help").out
    for verb in VERBS:
        assert f"\n    {verb} " in said


def test_version(call):
    assert call("--version").out == f"outlast {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["--nonsense"],
        ["ls", "a", "b"],
        ["prune", "s", "--keep", "x"],
        ["run", "--tries", "x", "true"],
    ],
)
def test_wrong_use_is_status_2(call, arguments):
    found = call(*arguments)
    assert (found.status, found.out) == (2, "")
    assert found.err.startswith("outlast: error: ")
    assert "-> see: outlast" in found.err
    told = call(*arguments[:1], "--json", *arguments[1:])
    assert told.status == 2
    assert (told.json["error"], told.json["status"]) == ("usage", 2)


def test_the_options_of_the_command_to_run_are_not_ours(call):
    assert call("run", "--tries", "0", "--", "echo", "--json").out == ""


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_output_that_cannot_be_written(plain, form):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "ls", str(plain), *form], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "outlast: error: the output cannot be written: No space left on device\n"


def test_an_interrupt_is_status_130(call, plain, monkeypatch):
    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(ls, "main", interrupted)
    assert call("ls", plain).status == 130


def test_the_hint_stands_below_the_message(call, plain):
    found = call("show", plain, "-c", "77")
    assert found.err.splitlines()[0].startswith("outlast: error: no checkpoint 77 in ")
    assert found.err.splitlines()[1] == "  -> see: outlast ls"
    error = call("show", plain, "-c", "77", "--json").json
    assert error["hint"] == "see: outlast ls"
    assert error["message"].startswith("no checkpoint 77 in ")
    assert "->" not in error["message"]


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """A store whose list is longer than a pipe holds."""
    path = tmp_path_factory.mktemp("long") / "store"
    attempt = Attempt.begin(path)
    attempt.save(1)
    for step in range(2, 1200):
        (path / f"step-{step:09d}.a0001").mkdir()
    attempt.lease.end("failed")
    return path


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_a_reader_that_leaves_early(long, form):
    """`outlast ls | head -1`: no traceback, and the status that a shell gives for SIGPIPE."""
    with subprocess.Popen(
        [*COMMAND, "ls", str(long), "--all", *form], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_a_reader_that_was_never_there(plain):
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [*COMMAND, "ls", str(plain)], stdout=write, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_an_error_for_a_reader_that_was_never_there(tmp_path):
    """Its document goes nowhere, its message and status are those of the error."""
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [*COMMAND, "ls", str(tmp_path / "none"), "--json"],
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(write)
    assert done.returncode == 4
    assert done.stderr.startswith("outlast: error: there is no store")
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_closed_standard_output(plain, form):
    """`outlast ls >&-`: nobody wants to see it."""
    script = 'exec "$@" >&-'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *COMMAND, "ls", str(plain), *form],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
