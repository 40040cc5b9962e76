"""The command line called in this process, and stores for it to look at."""

import json
import shutil

import pytest

from cli.kit import arrays, train
from outlast.cli.main import main
from storekit import Attempt, in_child


class Called:
    """What one command gave."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def lines(self):
        return self.out.splitlines()


@pytest.fixture
def call(capsys, monkeypatch):
    """Call the command line; argparse's own exits give their status too."""
    monkeypatch.delenv("OUTLAST_STORE", raising=False)

    def do(*arguments):
        capsys.readouterr()
        try:
            status = main([str(a) for a in arguments])
        except SystemExit as e:
            status = e.code
        return Called(status, *capsys.readouterr())

    return do


@pytest.fixture(scope="session")
def _trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("trained") / "store"
    train(path, arrays())
    return path


@pytest.fixture
def trained(_trained, tmp_path):
    """A run of 3 steps that is done: checkpoints of steps 1, 2, 3 and the last one, marked done."""
    return shutil.copytree(_trained, tmp_path / "trained")


@pytest.fixture
def plain(tmp_path):
    """A store with steps 1, 2, 3, made without the capture layer; nothing is shared between its checkpoints."""
    path = tmp_path / "plain"
    attempt = Attempt.begin(path, lean=0)
    for step, loss in ((1, 0.25), (2, 0.75), (3, 0.5)):
        attempt.save(step, metrics={"loss": loss}, frozen=False)
    attempt.lease.end("failed")
    return path


@pytest.fixture
def killed(tmp_path):
    """A store whose only attempt died at step 9, with steps 3 and 5 saved."""
    path = tmp_path / "killed"

    def work(report):
        attempt = Attempt.begin(path)
        attempt.save(3)
        attempt.save(5)
        attempt.lease.journal.record("metrics", sync=False, rows=[[6, {"loss": 1.0}], [9, {"loss": 0.5}]])

    status, told = in_child(work)
    assert (status, told) == (0, b"")
    return path
