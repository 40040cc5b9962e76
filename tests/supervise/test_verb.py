"""`outlast run` as a command line: its options, and that it is the supervisor of the other tests."""

import argparse
import os
import sys

import pytest

from outlast.cli import run
from outlast.errors import UsageError

VERB = """
import argparse, sys
from outlast.cli import run
parser = argparse.ArgumentParser()
run.add(parser.add_subparsers(dest="verb"))
sys.exit(run.main(parser.parse_args(["run", *sys.argv[1:]])))
"""


def verb(rig, *arguments, **more):
    return rig.spawn([sys.executable, "-c", VERB, *arguments], **more)


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    run.add(parser.add_subparsers(dest="verb"))
    return parser.parse_args(["run", *arguments])


def test_the_command_begins_at_the_first_dashes(rig):
    one = verb(rig, "--tries", "1", "--", *rig.program("say(sys.argv[1:])"), "--", "--json", "-h")
    assert one.status() == 0
    assert one.line() == "['--', '--json', '-h']"


def test_store_is_set_for_the_command(rig):
    one = verb(rig, "--store", "ckpts/x", "--", *rig.program("say(os.environ['OUTLAST_STORE'])"))
    assert one.status() == 0
    assert one.line() == str(rig.folder / "ckpts/x")


def test_time_and_grace_are_durations(rig):
    text = """
on(signal.SIGTERM, lambda: sys.exit(0))
say(0 < float(os.environ["OUTLAST_DEADLINE"]) - time.time() <= 1000)
forever()
"""
    options = ["--time", "1000s", "--grace", "500s", "--attempts", "1"]
    one = rig.spawn([sys.executable, "-c", rig.shifted(VERB), *options, "--", *rig.program(text)])
    assert one.line() == "True"
    rig.pass_time(one, 600)
    assert one.status() == 0


def test_json_asks_the_program_for_json_too(rig):
    one = verb(rig, "--json", "--", *rig.program("say(os.environ['OUTLAST_EVENTS'])"))
    assert one.status() == 0
    assert one.lines() == ["json"]
    assert [e["event"] for e in one.events] == ["start", "end", "finish"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "there is no command to run"),
        (["--"], "there is no command to run"),
        (["--tries", "0", "--", "true"], "--tries 0: expected 1 or more"),
        (["--attempts", "-1", "--", "true"], "--max-attempts -1: expected 1 or more"),
        (["--time", "0s", "--", "true"], "--time 0s: expected a time above zero"),
    ],
)
def test_wrong_use_is_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        run.main(parsed(*arguments))


def test_a_program_that_saves_elsewhere_than_it_is_given_is_said_once(rig):
    """Its progress is looked for in vain, then, by whoever goes by what was given."""
    text = "put('progress.json', store='/its/own', attempt=1, step=attempt(), done=False, at='x'); sys.exit(7)"
    one = verb(rig, "--store", "ckpts/x", "--max-attempts", "2", "--", *rig.program(text))
    assert one.status() == 7
    told = f"the program saves in /its/own, not in {rig.folder}/ckpts/x (OUTLAST_STORE): name that one with --store"
    assert one.errors.count(told) == 1
    os.symlink("ckpts", rig.folder / "link")
    text = "put('progress.json', store=os.environ['OUTLAST_STORE'], attempt=1, step=1, done=True, at='x')"
    two = verb(rig, "--store", "link/x", "--", *rig.program(text))
    assert two.status() == 0
    assert "saves in" not in two.errors
